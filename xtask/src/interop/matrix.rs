//! `cargo xtask interop matrix`: stock Matrix clients of two people, each on a device of their own.
//!
//! One makes the rooms and writes, the other is invited and answers. They wait for each other by what they see in their
//! rooms alone.

mod ai;
mod person;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Deployment, Member, STOP};

use super::{install::Installed, outcome::Outcome, steps};
use crate::{build, go, model, progress::Step};
use ai::AI;
use person::{Part, Person, Program};

/// The scripts, in the repository.
const SCRIPTS: &str = "interop/matrix";

/// How the two people's parts are called.
const ROLES: [&str; 2] = ["host", "guest"];

/// Of `cargo xtask interop matrix`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only walks with a client whose name contains this
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
    Rust,
}

/// A client that we did not write.
#[derive(Debug)]
struct Client {
    /// With its version.
    name: &'static str,
    runs: Runs,
    encrypts: bool,
    /// Steps besides those of every client, of the host and of the guest: with any other client, and with the same.
    alone: [&'static [&'static str]; 2],
    together: [&'static [&'static str]; 2],
}

/// Steps of who makes the rooms, and of who is invited.
const EVERY: [&[&str]; 2] = [
    &[
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
    ],
    &[
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
    ],
];
/// Where both encrypt.
const ENCRYPTED: [&[&str]; 2] = [&["secret"], &["read_secret"]];
/// Steps of clients in which a person's devices trust each other.
const DEVICES: [&str; 3] = ["recovery", "recovered_device", "verified_device"];

const NIO: Client = Client {
    name: "matrix-nio 0.26.0",
    runs: Runs::Python("nio_client.py"),
    encrypts: true,
    alone: [&[], &[]],
    together: [&[], &[]],
};
/// What Element Web stands on.
const JS: Client = Client {
    name: "matrix-js-sdk 43.0.0",
    runs: Runs::Node("js_client.mjs"),
    encrypts: true,
    alone: [&["mute", "people", DEVICES[0], DEVICES[1], DEVICES[2]], &["people"]],
    together: [&["thread"], &["start_thread"]],
};
/// What gomuks stands on.
const MAUTRIX: Client = Client {
    name: "mautrix-go 0.32.0",
    runs: Runs::Go,
    encrypts: false,
    alone: [&[], &[]],
    together: [&[], &[]],
};
/// What Element X stands on.
const SDK: Client = Client {
    name: "matrix-sdk-ui 0.18.0",
    runs: Runs::Rust,
    encrypts: true,
    alone: [
        &["first_screens", "mute", "pin", DEVICES[0], DEVICES[1], DEVICES[2], "oauth"],
        &["notification", "leave"],
    ],
    together: [&["secret_image"], &["see_secret_image"]],
};

const CLIENTS: [&Client; 4] = [&NIO, &JS, &MAUTRIX, &SDK];

/// Who makes the rooms, and who is invited: each client with itself, and people with different ones.
const PAIRS: [[&Client; 2]; 7] = [
    [&NIO, &NIO],
    [&JS, &JS],
    [&MAUTRIX, &MAUTRIX],
    [&SDK, &SDK],
    [&SDK, &JS],
    [&JS, &NIO],
    [&NIO, &SDK],
];

/// The steps of a pair's host and guest.
fn steps_of(pair: [&Client; 2]) -> [Vec<&'static str>; 2] {
    let [host, guest] = pair;
    [0, 1].map(|role| {
        let mut steps = [EVERY[role], pair[role].alone[role]].concat();
        if host.encrypts && guest.encrypts {
            steps.extend(ENCRYPTED[role]);
        }
        if host.name == guest.name {
            steps.extend(host.together[role]);
        }
        steps
    })
}

/// What runs each client, by its name: a program, and its script.
type Programs = BTreeMap<&'static str, Program>;

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let model = if args.no_build { model::get()? } else { build::everything()? };
    of_client(args.only.as_deref(), &model)
}

/// Runs all walks, or those with a client whose name contains `only`.
fn of_client(only: Option<&str>, model: &Path) -> Result<Outcome> {
    let is_wanted = |name: &str| name.contains(only.unwrap_or_default());
    let pairs = PAIRS.into_iter();
    let chosen: Vec<_> =
        pairs.filter(|pair| pair.iter().any(|client| is_wanted(client.name))).collect();
    let with_ai = is_wanted(AI) || is_wanted(SDK.name);
    let names = CLIENTS.map(|client| client.name).join(", ");
    ensure!(with_ai || !chosen.is_empty(), "there is no such client: {names}, {AI}");
    walks(chosen, with_ai, model)
}

/// Runs every second walk, and the others at the next turn: together they take minutes.
pub(super) fn of_turn(turn: usize, model: &Path) -> Result<Outcome> {
    let chosen = PAIRS.into_iter().skip(turn % 2).step_by(2).collect();
    walks(chosen, turn % 2 == 1, model)
}

fn walks(chosen: Vec<[&Client; 2]>, with_ai: bool, model: &Path) -> Result<Outcome> {
    let installed = Installed::get(SCRIPTS, "Matrix clients")?;
    let mut programs = Programs::new();
    for client in CLIENTS {
        let is_chosen = chosen.iter().flatten().any(|chosen| chosen.name == client.name);
        if is_chosen || with_ai && client.name == SDK.name {
            programs.insert(client.name, client.program(&installed)?);
        }
    }
    let step = Step::new("a house");
    let mut deployment = Deployment::start_with_model(model, &[])?;
    fs::create_dir_all(deployment.state().join("tmp"))?;
    step.done("the house is up");
    let mut outcome = Outcome::default();
    for (number, pair) in chosen.into_iter().enumerate() {
        outcome.add(with_second_try(|attempt| {
            // New people each time: an app does not replace the keys that another made.
            let number = number + attempt * PAIRS.len();
            let mut person = |name: &str| {
                deployment.member(&format!("{name}s-laptop-{number}"), &format!("{name}{number}"))
            };
            let mut people = [person("alice")?, person("bob")?];
            let outcome = walk(pair, &deployment, &installed, &programs, &people)?;
            for person in &mut people {
                let _ = person.agent.stop(STOP)?;
            }
            Ok(outcome)
        })?);
    }
    if with_ai {
        outcome.add(with_second_try(|attempt| {
            let name = format!("mia{attempt}");
            let member = deployment.member(&format!("{name}s-laptop"), &name)?;
            ai::walk(&deployment, &installed, &programs[SDK.name], &member)
        })?);
    }
    Ok(outcome)
}

/// Walks once more, with new people, if a step failed: in some runs Element X's engine never shows one update, or shows one
/// event twice. What fails both times fails.
fn with_second_try(mut walk: impl FnMut(usize) -> Result<Outcome>) -> Result<Outcome> {
    let first = walk(0)?;
    if first.failed.is_empty() {
        return Ok(first);
    }
    println!("once more, with new people: {}", first.failed.join("; "));
    walk(1)
}

/// Both walk at a time.
fn walk(
    pair: [&Client; 2],
    deployment: &Deployment,
    installed: &Installed,
    programs: &Programs,
    people: &[Member; 2],
) -> Result<Outcome> {
    let [host, guest] = people;
    let people = [Person::sign_in(host)?, Person::sign_in(guest)?];
    let steps = steps_of(pair);
    let tmp = deployment.state().join("tmp");
    let one = |role: usize| -> Result<Output> {
        let (own, program) = (&people[role], &programs[pair[role].name]);
        let part = Part { role: ROLES[role], peer: &people[1 - role].user, steps: &steps[role] };
        let mut command = own.command(installed, program, &tmp, &part);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.output().context("the client does not start")
    };
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| one(1));
        (one(0), second.join())
    });
    let second = second.unwrap_or_else(|_| anyhow::bail!("a thread ended"));
    let mut outcome = Outcome::default();
    for (role, output) in [first?, second?].into_iter().enumerate() {
        let said = steps::read(&String::from_utf8_lossy(&output.stdout));
        let (client, with) = (pair[role].name, pair[1 - role].name);
        let name = if client == with {
            format!("{client}, {}", ROLES[role])
        } else {
            format!("{client}, {} of {with}", ROLES[role])
        };
        let judged = steps::judge(&name, &steps[role], &said);
        if !judged.failed.is_empty() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        outcome.add(judged);
    }
    Ok(outcome)
}

impl Client {
    /// Builds it, if it is compiled.
    fn program(&self, installed: &Installed) -> Result<Program> {
        Ok(match self.runs {
            Runs::Python(name) => (PathBuf::from("python3"), Some(installed.script(name))),
            Runs::Node(name) => (installed.node(), Some(installed.script(name))),
            Runs::Go => (go::matrix()?, None),
            Runs::Rust => (build::element_x()?, None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_fails_twice_fails() {
        let failures = |fails: &[bool]| {
            let walk = |attempt: usize| {
                let failed = fails[attempt].then(|| "a step".to_owned()).into_iter().collect();
                Ok(Outcome { failed, ..Outcome::default() })
            };
            with_second_try(walk).unwrap().failed.len()
        };
        assert_eq!(
            [failures(&[false]), failures(&[true, false]), failures(&[true, true])],
            [0, 0, 1]
        );
    }
}
