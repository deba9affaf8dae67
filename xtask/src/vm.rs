//! `cargo xtask vm`: Maru's packages under systemd, in an emulated machine with Debian 13.
//!
//! The machine is made anew for each run from a disk that is kept. It has no way out: packages come on a second disk. Each
//! test is a script of bash that runs as root in the machine and fails with what was wrong; the scripts take turns, and
//! leave the machine as they found it.

mod agent;
mod disk;
mod machine;
mod scripts;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{packages, progress::Step, workspace};
use disk::Disk;
use machine::Machine;
use scripts::{INSTALL, TESTS, Test};

/// Arguments of `cargo xtask vm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these tests
    #[arg(value_name = "NAME", value_parser = scripts::by_name)]
    names: Vec<&'static Test>,
    /// Folder of the packages [default: target/packages, where `cargo xtask package` writes them]
    #[arg(long, value_name = "DIR")]
    packages: Option<PathBuf>,
    /// Time limit of the machine, in minutes
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
}

/// What CI tries in its turn: that every unit is active, a chat, and updates, one of which is taken back.
const ESSENTIAL: [&str; 3] = ["active", "chat", "upgrade"];
/// How long that may take, in minutes: an emulated processor is many times slower than a real one.
const ESSENTIAL_MINUTES: u64 = 20;

/// Tries the essential tests on the packages in a folder; how many there are.
pub(crate) fn essential(packages: PathBuf) -> Result<usize> {
    let names = TESTS.iter().filter(|test| ESSENTIAL.contains(&test.name)).collect();
    let args = Args { names, packages: Some(packages), minutes: ESSENTIAL_MINUTES };
    run(&args).map(|()| args.names.len())
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::for_virtual_machines()?;
    let folder = match &args.packages {
        Some(folder) => folder.clone(),
        None => workspace::target()?.join("packages"),
    };
    let disk = Disk::get()?;
    let deadline = Instant::now() + Duration::from_secs(args.minutes * 60);
    let dir = tempfile::tempdir_in(workspace::target()?.join("vm"))?;
    let files = dir.path().join("packages.img");
    lend(&folder, &files)?;

    let step = Step::new("starting a machine with Debian 13 and installing Maru");
    let mut machine = Machine::start(dir.path(), &disk, &files, deadline)?;
    step.line(machine.check(INSTALL).context("Maru was not installed")?.trim());
    step.done("Maru runs in the machine");

    let all: Vec<_> = TESTS.iter().collect();
    let chosen = if args.names.is_empty() { &all } else { &args.names };
    let mut failed = Vec::new();
    for test in chosen {
        let begun = Instant::now();
        let verdict = match test.run(&mut machine)? {
            Ok(()) => "passed".to_owned(),
            Err(why) => {
                failed.push(test.name);
                format!("FAILED ({why})")
            }
        };
        println!("{verdict}: {} ({} s)", test.name, begun.elapsed().as_secs());
    }
    machine.power_off().context("the machine does not switch itself off")?;
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Puts the packages onto a disk for the machine.
fn lend(folder: &Path, image: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let entries = fs::read_dir(folder).with_context(|| {
        format!("there are no packages in {}: run `cargo xtask package`", folder.display())
    })?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        // The machine is one of amd64.
        let fits = ["_amd64.deb", "_all.deb"].iter().any(|end| text.ends_with(end));
        if text.starts_with("maru-") && fits {
            fs::copy(entry.path(), scratch.path().join(&name))?;
        }
    }
    let count = fs::read_dir(scratch.path())?.count();
    ensure!(count == 2, "{} has {count} packages of a home instead of two", folder.display());
    disk::of_files(scratch.path(), image)
}
