//! `cargo xtask up`: the whole of Maru on one machine, with a second device that chats.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Process, Seat, household::Household};

use crate::{build, progress::Step, stop, workspace};

/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(30);
/// The person whose laptop joins.
const PERSON: &str = "alice";

/// Of `cargo xtask up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the laptop asks
    #[arg(long, value_name = "TEXT", default_value = "In one sentence: what is a home?")]
    ask: String,
    /// Use a fresh root, stop after the reply and remove everything
    #[arg(long)]
    once: bool,
    /// Directory that keeps the state of home and laptop between runs [default: target/up]
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
    let model = build::everything()?;
    stop::check()?;
    let fresh = if args.once { Some(tempfile::tempdir()?) } else { None };
    let root = match (&fresh, &args.root) {
        (Some(dir), _) => dir.path().to_owned(),
        (None, Some(root)) => root.clone(),
        (None, None) => workspace::target()?.join("up"),
    };
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let _lock = lock(&root)?;
    demonstrate(args, &root, &model)
}

/// Holds the root for this run; the lock goes with the process.
fn lock(root: &Path) -> Result<fs::File> {
    let path = root.join("xtask.lock");
    let file =
        fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |_| {
            anyhow::anyhow!(
                "another `cargo xtask up` uses {}: stop it (Ctrl-C), or give this one `--root DIR`",
                root.display()
            )
        },
    )?;
    Ok(file)
}

fn demonstrate(args: &Args, root: &Path, model: &Path) -> Result<()> {
    let step = Step::new("making home, router and laptop");
    let household = Household::new(&["laptop"])?;
    let home = Seat::new(&household.home, &root.join("home"))?;
    let laptop = Seat::new(&household.laptops[0], &root.join("laptop"))?;
    step.done("home (10.77.1.2), router and laptop (10.77.2.2) are cabled");

    let step = Step::new("home: maru up");
    let model = home.lend(model)?;
    let mut up = home.up(&["--model", &model], |line| step.now(line))?;
    step.done("home: the appliance runs");

    let result = second_device(args, &home, &laptop, &mut up);
    let step = Step::new("stopping");
    let status = up.stop(STOP)?;
    step.done("stopped; nothing is left behind");
    result?;
    ensure!(status.success(), "maru up did not stop cleanly ({status})");
    Ok(())
}

fn second_device(args: &Args, home: &Seat, laptop: &Seat, up: &mut Process) -> Result<()> {
    stop::check()?;
    let mut agent = laptop.agent()?;
    join(home, laptop)?;
    stop::check()?;
    println!("\nlaptop$ maru chat '{}'", args.ask);
    chat(laptop, &args.ask)?;
    if !args.once {
        next(up);
    }
    let _ = agent.stop(STOP)?;
    Ok(())
}

/// Brings the laptop into the network: by invitation and approval, or because it was there before.
fn join(home: &Seat, laptop: &Seat) -> Result<()> {
    if laptop.status()?["state"] == "needs_join" {
        println!("home$ maru invite {PERSON}\nlaptop$ maru join …");
        laptop.ask_to_join(home, PERSON)?;
        println!("home$ maru device approve …");
        home.approve(laptop.machine.name())?;
    } else {
        println!("The laptop was approved before; it chats at once.");
    }
    laptop.wait_for_network()
}

/// Sends the question and prints the reply as it comes.
fn chat(laptop: &Seat, ask: &str) -> Result<()> {
    let mut command = laptop.maru(&["chat", "--max-tokens", "200", "--ask", ask]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = laptop.machine.spawn(&mut command)?;
    let stdout = process.child().stdout.take().context("no pipe")?;
    let mut reader = BufReader::new(stdout);
    let mut out = std::io::stdout();
    let mut bytes = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        out.write_all(chunk)?;
        out.flush()?;
        let length = chunk.len();
        bytes += length;
        reader.consume(length);
    }
    let status = process.wait_for(STOP)?.context("maru chat does not end")?;
    println!();
    ensure!(status.success(), "maru chat failed ({status})");
    ensure!(bytes > 0, "maru chat printed no reply");
    Ok(())
}

/// Says where to go next, and stays until Ctrl-C or until `maru up` ends by itself.
fn next(up: &mut Process) {
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
