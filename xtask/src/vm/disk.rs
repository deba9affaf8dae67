//! The machine's disk: made once, and the same for each run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{progress::Step, stop, workspace};

/// Makes the disk.
const RECIPE: &str = include_str!("debian.sh");

/// A disk with Debian 13, and what boots it.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// The disk, which is made when there is none of this recipe.
    pub(super) fn get() -> Result<Self> {
        let recipe = hex::encode(Sha256::digest(RECIPE));
        let dir = workspace::target()?.join("vm").join(format!("debian-13-{}", &recipe[..12]));
        if !dir.exists() {
            ensure!(rustix::process::geteuid().is_root(), "only root can make the machine's disk");
            make(&dir)?;
        }
        Ok(Self { dir })
    }

    /// The kernel's image.
    pub(super) fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    /// The initial file system of the kernel.
    pub(super) fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }

    /// Makes an image at `path` that keeps what is written, so that the disk stays as it is.
    pub(super) fn overlay(&self, path: &Path) -> Result<()> {
        output(
            Command::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                .arg(self.dir.join("disk"))
                .arg(path),
        )
    }
}

/// Makes the disk, or nothing.
fn make(dir: &Path) -> Result<()> {
    let step = Step::new("making a disk with Debian 13 (minutes)");
    let partial = dir.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    // What it mounts vanishes with its namespace, whatever happens.
    let mut recipe = Command::new("unshare");
    recipe.args(["--mount", "sh", "-c", RECIPE]).current_dir(&partial);
    output(&mut recipe)?;
    fs::rename(&partial, dir)?;
    step.done("the disk with Debian 13 is made");
    Ok(())
}

/// Makes a file system at `path` with the files of a folder.
pub(super) fn of_files(folder: &Path, path: &Path) -> Result<()> {
    output(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(folder).arg(path).arg("2G"))
}

/// Runs a command to its end; fails with what it said.
pub(super) fn output(command: &mut Command) -> Result<()> {
    let out = command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output()?;
    stop::check()?;
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let name = command.get_program().to_string_lossy().into_owned();
    ensure!(out.status.success(), "{name}: {}", text.trim());
    Ok(())
}
