//! Debian's packages, unpacked into the target folder: nothing of them is installed.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{progress::Step, workspace};

/// The package that names the newest kernel of this Debian for machines without hardware.
const NEWEST: &str = "linux-image-cloud-amd64";
/// What the names of kernels' packages begin with.
const IMAGE: &str = "linux-image-";

/// A kernel of Debian's.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Such as `6.1.0-56-cloud-amd64`.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// Where its modules lie.
    pub(super) modules: PathBuf,
}

impl Kernel {
    /// The newest of this Debian, which is fetched when it is not there.
    pub(super) fn get() -> Result<Self> {
        let said = output(Command::new("apt-cache").args(["depends", "--important", NEWEST]));
        let said = said.with_context(|| {
            format!("Debian's packages have no {NEWEST} here: run `sudo apt-get update`, then this again")
        })?;
        let release = release(&String::from_utf8_lossy(&said))
            .with_context(|| format!("Debian's package {NEWEST} names no kernel"))?
            .to_owned();
        let dir = unpacked(&format!("{IMAGE}{release}"))?;
        Ok(Self {
            image: dir.join(format!("boot/vmlinuz-{release}")),
            modules: dir.join(format!("lib/modules/{release}/kernel")),
            release,
        })
    }
}

/// Busybox in one file, which is fetched when it is not there.
pub(super) fn busybox() -> Result<PathBuf> {
    Ok(unpacked("busybox-static")?.join("bin/busybox"))
}

/// Downloads and unpacks a package when it is not there; returns its folder.
fn unpacked(package: &str) -> Result<PathBuf> {
    let tools = workspace::target()?.join("tools");
    let dir = tools.join(package);
    if dir.exists() {
        return Ok(dir);
    }
    let step = Step::new(&format!("fetching {package} from Debian's packages"));
    fs::create_dir_all(&tools)?;
    let partial = tempfile::tempdir_in(&tools)?;
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet=2", "download", package]).current_dir(partial.path());
    output(&mut apt).with_context(|| {
        format!("{package} was not fetched: run `sudo apt-get update`, then this again")
    })?;
    let file = fs::read_dir(partial.path())?.next().context("apt-get downloaded nothing")??.path();
    let root = partial.path().join("root");
    output(Command::new("dpkg").arg("--extract").arg(file).arg(&root))?;
    fs::rename(root, &dir)?;
    step.done(&format!("{package} is fetched"));
    Ok(dir)
}

/// What a command prints; fails with what it complained of.
pub(super) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("no {name}: this needs Debian"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name}: {}", said.trim());
    Ok(out.stdout)
}

/// Reads what `apt-cache depends` says of [`NEWEST`].
fn release(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.trim().strip_prefix("Depends: ")?.strip_prefix(IMAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_that_a_package_depends_on() {
        let said = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(release(said), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(release("linux-image-cloud-amd64\n  Depends: libc6\n"), None);
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let error = output(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: no");
    }
}
