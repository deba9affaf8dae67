//! `cargo xtask interop matrix`: stock Matrix clients of two people, each on a device of their own.
//!
//! One makes the rooms and writes, the other is invited and answers. They wait for each other by what they see in their
//! rooms alone.

use std::{
    fs,
    path::PathBuf,
    process::{Output, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Deployment, Member, STOP};
use serde_json::Value;

use super::{install::Installed, outcome::Outcome, steps};
use crate::{build, go, model, progress::Step};

/// The scripts, in the repository.
const SCRIPTS: &str = "interop/matrix";
/// The homeserver, as a device of the network finds it.
const URL: &str = "http://rooms.maru.home.arpa";

/// Of `cargo xtask interop matrix`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the clients whose name holds this
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Take the programs as they were built
    #[arg(long)]
    no_build: bool,
}

/// What runs a client.
#[derive(Clone, Copy, Debug)]
enum Runs {
    Python(&'static str),
    Node(&'static str),
    Go,
}

/// A client that we did not write.
#[derive(Clone, Copy, Debug)]
struct Client {
    /// With its version.
    name: &'static str,
    runs: Runs,
    /// Steps besides those of every client, of the host and of the guest.
    more: [&'static [&'static str]; 2],
}

/// Steps of who makes the rooms.
const HOST: &[&str] = &[
    "discover",
    "sign_in",
    "direct_chat",
    "group",
    "joined",
    "text",
    "edit",
    "reaction_and_reply",
    "read_receipt",
    "sees_typing",
    "image",
    "rename",
    "tag",
    "account_data",
    "redact",
    "paginate",
    "sign_out",
];
/// Steps of who is invited.
const GUEST: &[&str] = &[
    "discover",
    "sign_in",
    "invited",
    "join",
    "read_text",
    "read_edit",
    "react",
    "reply",
    "receipt",
    "typing",
    "see_image",
    "see_name",
    "see_redaction",
    "paginate",
    "sign_out",
];

const CLIENTS: [Client; 3] = [
    Client { name: "matrix-nio 0.26.0", runs: Runs::Python("nio_client.py"), more: [&[], &[]] },
    Client {
        name: "matrix-js-sdk 43.0.0",
        runs: Runs::Node("js_client.mjs"),
        more: [&["thread", "mute", "people"], &["start_thread", "people"]],
    },
    Client { name: "mautrix-go 0.32.0", runs: Runs::Go, more: [&[], &[]] },
];

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let model = if args.no_build { model::get()? } else { build::everything()? };
    let is_wanted = |client: &&Client| {
        args.only.as_ref().is_none_or(|name| client.name.contains(name.as_str()))
    };
    let chosen: Vec<_> = CLIENTS.iter().filter(is_wanted).collect();
    let names = CLIENTS.map(|client| client.name).join(", ");
    ensure!(!chosen.is_empty(), "there is no such client: {names}");
    let installed = Installed::get(SCRIPTS, "Matrix clients")?;
    let step = Step::new("a house with two people");
    let mut deployment = Deployment::start_with_model(&model, &[])?;
    let people =
        [deployment.member("alices-laptop", "alice")?, deployment.member("bobs-laptop", "bob")?];
    fs::create_dir_all(deployment.state().join("tmp"))?;
    step.done("the house is up, and two people have a device each");
    let mut outcome = Outcome::default();
    for client in chosen {
        outcome.add(client.walk(&deployment, &installed, &people)?);
    }
    for mut person in people {
        let _ = person.agent.stop(STOP)?;
    }
    Ok(outcome)
}

impl Client {
    /// Both walk at a time.
    fn walk(
        self,
        deployment: &Deployment,
        installed: &Installed,
        people: &[Member; 2],
    ) -> Result<Outcome> {
        let [host, guest] = people;
        let (host, guest) = (SignIn::of(host)?, SignIn::of(guest)?);
        let (program, script) = self.program(installed)?;
        let walk = |role: &str, own: &SignIn, peer: &SignIn| -> Result<Output> {
            let machine = &own.member.instance.machine;
            let mut command = installed.command(machine, &program, &deployment.state().join("tmp"));
            command.args(script.as_deref()).env("MARU_URL", URL).env("MARU_ROLE", role);
            command.env("MARU_USER", &own.user).env("MARU_PASSWORD", &own.password);
            command.env("MARU_PEER", &peer.user).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.output().with_context(|| format!("{} does not start", program.display()))
        };
        let (first, second) = thread::scope(|scope| {
            let second = scope.spawn(|| walk("guest", &guest, &host));
            let first = walk("host", &host, &guest);
            (first, second.join())
        });
        let second = second.unwrap_or_else(|_| anyhow::bail!("a thread ended"));
        let mut outcome = Outcome::default();
        let roles = [("host", HOST, first?), ("guest", GUEST, second?)];
        for ((role, every, output), more) in roles.into_iter().zip(self.more) {
            let said = steps::read(&String::from_utf8_lossy(&output.stdout));
            let name = format!("{}, {role}", self.name);
            let judged = steps::judge(&name, &[every, more].concat(), &said);
            if !judged.failed.is_empty() {
                eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            }
            outcome.add(judged);
        }
        Ok(outcome)
    }

    fn program(self, installed: &Installed) -> Result<(PathBuf, Option<PathBuf>)> {
        Ok(match self.runs {
            Runs::Python(name) => (PathBuf::from("python3"), Some(installed.script(name))),
            Runs::Node(name) => (installed.node(), Some(installed.script(name))),
            Runs::Go => (go::matrix()?, None),
        })
    }
}

/// A person with a password for one sign-in.
struct SignIn<'a> {
    member: &'a Member,
    user: String,
    password: String,
}

impl<'a> SignIn<'a> {
    fn of(member: &'a Member) -> Result<Self> {
        let said = member.instance.ok(&["rooms", "login", "-o", "json"])?;
        let said: Value = serde_json::from_str(&said).context("no JSON")?;
        let text = |name: &str| {
            said[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"))
        };
        Ok(Self { member, user: text("user_id")?, password: text("password")? })
    }
}
