//! `cargo xtask kernel`: the tunnel on the kernel of Debian 12, which lacks an offload that later ones have.
//!
//! The machine is emulated, which needs neither root nor KVM but is many times slower. It runs Debian's kernel with the
//! tunnel's tests and the programs that they call, all in memory.

mod debian;
mod initrd;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{build, emulator, nextest, packages, workspace};
use debian::Kernel;

/// The first release of Linux that lacks nothing: it has USO.
const COMPLETE: (u32, u32) = (6, 2);
/// What the machine says last begins with this; so does `kernel/init`.
const MARK: &str = "maru-kernel: ";
/// What the serial console said, in the folder of the machine.
const CONSOLE: &str = "console.log";

/// What is run if nothing else is named: no test that must be done in a time of which an emulated processor needs most.
const TESTS: [&str; 5] = [
    "kernel::",
    "offload::a_stream_crosses",
    "offload::datagrams_keep",
    "offload::each_offload",
    "traffic::",
];

/// Arguments of `cargo xtask kernel`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the tunnel's tests whose name contains one of these
    #[arg(value_name = "NAME", default_values = TESTS)]
    names: Vec<String>,
    /// Time limit of the machine, in minutes
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::for_emulating()?;
    let kernel = Kernel::get()?;
    ensure!(
        is_older(&kernel.release, COMPLETE),
        "Debian's kernel is Linux {} here, which lacks nothing: run this on Debian 12",
        kernel.release
    );
    let tests = build::test_program("tunnel")?;
    let dir = workspace::target()?.join("kernel");
    initrd::make(&dir, &kernel, &tests, &args.names)?;
    let limit = Duration::from_secs(args.minutes * 60);
    let Some(status) = nextest::within(&mut machine(&dir, &kernel), limit)? else {
        bail!(
            "the tests took longer than {} min, so the machine was stopped: allow more with --minutes",
            args.minutes
        );
    };
    ensure!(status.success(), "the emulator ended with {status}");
    let said = fs::read(dir.join(CONSOLE)).context("the machine printed nothing")?;
    judge(&String::from_utf8_lossy(&said), &kernel.release)?;
    println!("passed on Linux {}", kernel.release);
    Ok(())
}

/// The machine, with nothing but processors, memory and a serial console, which is shown and kept.
fn machine(dir: &Path, kernel: &Kernel) -> Command {
    let console = format!("stdio,id={},signal=off,logfile={CONSOLE}", emulator::CONSOLE);
    let mut command = emulator::command(dir, 2048);
    command
        .args(["-smp", "2", "-no-reboot", "-chardev", &console])
        .args(["-append", "console=ttyS0 panic=-1 quiet", "-initrd", initrd::FILE, "-kernel"])
        .arg(&kernel.image);
    command
}

/// Fails unless the machine had this kernel and its tests passed.
fn judge(said: &str, release: &str) -> Result<()> {
    let last = said.lines().filter_map(|line| line.strip_prefix(MARK)).next_back();
    let (ran, status) = last
        .and_then(|line| line.trim_end().split_once(" ended with "))
        .context("the machine ended before its tests did")?;
    ensure!(ran == release, "the machine had Linux {ran} instead of {release}");
    ensure!(!said.contains("\nrunning 0 tests"), "there is no such test");
    ensure!(status == "0", "tests failed on Linux {release}");
    Ok(())
}

/// Whether a release such as `6.1.0-56-cloud-amd64` is older than a version.
fn is_older(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "6.1.0-56-cloud-amd64";

    #[test]
    fn a_release_is_compared_by_its_numbers() {
        assert!(is_older(RELEASE, COMPLETE) && is_older("5.10.0-1-amd64", COMPLETE));
        for other in ["6.2.0-1-amd64", "6.12.57+deb13-cloud-amd64", "10.0", "six.one", ""] {
            assert!(!is_older(other, COMPLETE), "{other}");
        }
    }

    #[test]
    fn only_tests_that_ran_and_passed_on_that_kernel_are_a_success() {
        let said = |tests: &str, release: &str, status: &str| {
            format!(
                "[ 1.0] boot\r\n\r\nrunning {tests} tests\r\n{MARK}{release} ended with {status}\r\n"
            )
        };
        judge(&said("3", RELEASE, "0"), RELEASE).unwrap();
        for wrong in [
            said("3", RELEASE, "101"),
            said("3", "6.12.0", "0"),
            said("0", RELEASE, "0"),
            "running 3 tests\r\nKernel panic".to_owned(),
            String::new(),
        ] {
            assert!(judge(&wrong, RELEASE).is_err(), "{wrong}");
        }
    }
}
