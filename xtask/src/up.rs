//! `cargo xtask up`: runs all of Maru on one machine, with a second device that chats.

mod confidential;

use std::{
    fs,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Instance, Process, STOP, topology::Topology};

use crate::{build, progress::Step, stop, traces::Traces, workspace};

/// How often a state is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(200);
/// How many looks a join may take: one minute.
const LOOKS: usize = 300;
/// The person whose laptop joins.
const PERSON: &str = "alice";

/// Arguments of `cargo xtask up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The laptop's question
    #[arg(long, value_name = "TEXT", default_value = "In one sentence: what is a home?")]
    ask: String,
    /// Add a confidential chain: relay, gateway, router, auth and three nodes with simulated enclave and TPMs; the
    /// laptop also chats with a model there
    #[arg(long)]
    confidential: bool,
    /// Use a fresh root, stop after the reply and remove everything
    #[arg(long)]
    once: bool,
    /// Directory for the state of home and laptop between runs [default: target/up]
    #[arg(long, value_name = "DIR", conflicts_with = "once")]
    root: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the lab's machines need root: run `sudo -E env PATH=\"$PATH\" cargo xtask up`"
    );
    ensure!(
        Path::new("/dev/net/tun").exists(),
        "there is no /dev/net/tun: load the module (`modprobe tun`) or give it to this container"
    );
    let model = if args.confidential { build::everything()? } else { build::home()? };
    if args.confidential {
        build::attester()?;
    }
    stop::check()?;
    let fresh = if args.once { Some(tempfile::tempdir()?) } else { None };
    let root = match (&fresh, &args.root) {
        (Some(dir), _) => dir.path().to_owned(),
        (None, Some(root)) => std::path::absolute(root)?,
        (None, None) => workspace::target()?.join("up"),
    };
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let _lock = lock(&root)?;
    let before = Traces::now()?;
    let result = demonstrate(args, &root, &model);
    match Traces::now()?.nothing_remains_since(&before) {
        Ok(()) => println!("Nothing is left behind; this host is what it was before."),
        // Others may have done it meanwhile: this is no failure of its own.
        Err(changes) => println!("This host is not what it was before:\n{changes}"),
    }
    result
}

/// Holds the root for this run; the lock goes with the process.
fn lock(root: &Path) -> Result<fs::File> {
    let path = root.join("xtask.lock");
    let file =
        fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.try_lock().with_context(|| {
        format!(
            "another `cargo xtask up` uses {}: stop it (Ctrl-C), or give this one `--root DIR`",
            root.display()
        )
    })?;
    Ok(file)
}

fn demonstrate(args: &Args, root: &Path, model: &Path) -> Result<()> {
    let step = Step::new("making home, router and laptop");
    let mut topology = Topology::new(&["laptop"])?;
    let home = Instance::new(&topology.home, &root.join("home"))?;
    let laptop = Instance::new(&topology.laptops[0], &root.join("laptop"))?;
    step.done("home (10.77.1.2), router and laptop (10.77.2.2) are cabled");

    let inside = home.lend(model)?;
    let mut up = start(&home, &inside)?;
    let chain = match args.confidential {
        true => Some(confidential::start(&mut topology, &home, model)?),
        false => None,
    };
    if chain.is_some() {
        // The agent dials, and the gateway asks, what their settings said when they started.
        up.stop(STOP)?;
        up = start(&home, &inside)?;
    }

    let result = second_device(args, &home, &laptop, &mut up);
    let step = Step::new("stopping");
    let status = up.stop(STOP)?;
    step.done("stopped");
    result?;
    ensure!(status.success(), "maru up did not stop cleanly ({status})");
    Ok(())
}

/// Starts the appliance at home.
fn start(home: &Instance, model: &str) -> Result<Process> {
    let step = Step::new("home: maru up");
    let (up, lines) = home.up(&["--model", model], |line| step.line(line), stop::check)?;
    step.done("home: the appliance runs");
    // What it says later is news: a part that ended and was started again, say.
    thread::spawn(move || lines.into_iter().for_each(|line| eprintln!("home: {line}")));
    Ok(up)
}

fn second_device(args: &Args, home: &Instance, laptop: &Instance, up: &mut Process) -> Result<()> {
    stop::check()?;
    let mut agent = laptop.agent()?;
    join(home, laptop)?;
    stop::check()?;
    println!("\nlaptop$ maru chat '{}'", args.ask);
    chat(laptop, &["--ask", &args.ask])?;
    if args.confidential {
        println!("\nlaptop$ maru chat --model {} '{}'", confidential::MODEL, args.ask);
        chat(laptop, &["--model", confidential::MODEL, "--ask", &args.ask])?;
    }
    if !args.once {
        next(up, args.confidential);
    }
    let _ = agent.stop(STOP)?;
    Ok(())
}

/// Brings the laptop into the network, from wherever an earlier run left it.
fn join(home: &Instance, laptop: &Instance) -> Result<()> {
    let (mut invited, mut approved) = (false, false);
    for _ in 0..LOOKS {
        stop::check()?;
        let status = laptop.status()?;
        match status["state"].as_str() {
            Some("running") if status["gateway"].is_object() => {
                if !invited && !approved {
                    println!("The laptop was approved before; it chats at once.");
                }
                return Ok(());
            }
            Some("needs_join" | "expired") if !invited => {
                println!("home$ maru invite {PERSON}\nlaptop$ maru join …");
                laptop.ask_to_join(home, PERSON)?;
                invited = true;
            }
            Some("waiting_for_approval") if !approved => {
                if !invited {
                    println!("The laptop asked to join before, and waits for approval.");
                }
                println!("home$ maru device approve …");
                home.approve(laptop.machine.name())?;
                approved = true;
            }
            _ => thread::sleep(POLL),
        }
    }
    bail!("the laptop is not a member after a minute: {}", laptop.status()?)
}

/// Sends the question and prints the reply as it comes.
fn chat(laptop: &Instance, ask: &[&str]) -> Result<()> {
    let mut command = laptop.maru(&["chat", "--max-tokens", "200"]);
    command.args(ask).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = laptop.machine.spawn(&mut command)?;
    let stdout = process.child().stdout.take().context("no pipe")?;
    let printed = thread::spawn(move || print(stdout));
    let status = loop {
        stop::check()?;
        if let Some(status) = process.wait_for(POLL)? {
            break status;
        }
    };
    let bytes = printed.join().map_err(|_| anyhow::anyhow!("the reply was not printed"))??;
    println!();
    ensure!(status.success(), "maru chat failed ({status})");
    ensure!(bytes > 0, "maru chat printed no reply");
    Ok(())
}

/// Prints at once whatever comes; returns how many bytes that were.
fn print(mut from: impl Read) -> std::io::Result<usize> {
    let (mut out, mut buffer, mut bytes) = (std::io::stdout(), [0; 4096], 0);
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(bytes);
        }
        out.write_all(&buffer[..length])?;
        out.flush()?;
        bytes += length;
    }
}

/// Says where to go next, and stays until Ctrl-C or until `maru up` ends by itself.
fn next(up: &mut Process, confidential: bool) {
    if confidential {
        println!(
            "\nThe confidential chain runs on the machines relay, gateway, auth, node1, node2 and node3:\n  \
             cargo xtask lab exec laptop maru chat --model {} 'hello'\n  \
             cargo xtask lab exec home maru audit",
            confidential::MODEL
        );
    }
    println!(
        "\nMaru is up. In another terminal:\n  \
         cargo xtask lab exec laptop maru chat 'hello'\n  \
         cargo xtask lab exec laptop maru status\n  \
         cargo xtask lab exec home maru device list\n  \
         cargo xtask lab exec home maru invite bob\n\
         Ctrl-C stops it; the state stays for the next start."
    );
    stop::wait(|| !matches!(up.wait_for(Duration::ZERO), Ok(None)));
}
