//! Resolvers of others that tests run, from Debian's packages, which are unpacked and not installed: installed they would take over
//! this machine's resolver.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{progress::Step, stop, workspace};

/// Each package, and what in it others have under the same name.
const PACKAGES: [(&str, &[&str]); 2] =
    [("systemd-resolved", &["sbin/resolvconf", "usr/sbin/resolvconf"]), ("openresolv", &[])];
/// A file of the last package.
const LAST: &str = "etc/resolvconf.conf";

/// Fetches what is missing.
pub(crate) fn get() -> Result<()> {
    let folder = path()?;
    if folder.join(LAST).exists() {
        return Ok(());
    }
    let step = Step::new("fetching systemd-resolved and openresolv");
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    if download(&partial).is_err() {
        stop::check()?;
        // The lists may be older than what they name.
        run(Command::new("apt-get").args(["--quiet=2", "update"]))?;
        download(&partial)?;
    }
    for (name, others) in PACKAGES {
        let file = fs::read_dir(&partial)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| is_package(path, name))
            .with_context(|| format!("apt-get fetched no {name}"))?;
        run(Command::new("dpkg").arg("-x").arg(&file).arg(&partial))?;
        fs::remove_file(file)?;
        for other in others {
            // A link, which points nowhere.
            let _ = fs::remove_file(partial.join(other));
        }
    }
    ensure!(partial.join(LAST).exists(), "openresolv has no {LAST}");
    fs::rename(&partial, &folder)?;
    step.done("systemd-resolved and openresolv");
    Ok(())
}

/// The folder with the packages' files, of the version of systemd that is installed, whose library systemd-resolved shares.
pub(crate) fn path() -> Result<PathBuf> {
    Ok(workspace::target()?.join("tools").join(format!("resolvers-{}", systemd()?)))
}

/// The installed version of systemd, without its epoch's colon.
fn systemd() -> Result<String> {
    let shown = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", "systemd"])
        .stderr(Stdio::null())
        .output()
        .context("no dpkg-query: Maru's automation uses Debian's packages")?;
    Ok(String::from_utf8_lossy(&shown.stdout).trim().to_owned())
}

fn download(folder: &Path) -> Result<()> {
    let resolved = format!("systemd-resolved={}", systemd()?);
    let mut apt = Command::new("apt-get");
    apt.args([
        "--quiet=2",
        "--option=APT::Sandbox::User=root",
        "download",
        &resolved,
        "openresolv",
    ]);
    run(apt.current_dir(folder))
}

fn is_package(path: &Path, name: &str) -> bool {
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
    file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().context("Debian's tools do not start")?;
    if !out.status.success() {
        stop::check()?;
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
