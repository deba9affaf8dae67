//! Debian packages of Maru: files, and what is installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use common::foreign;
use messages::message;

/// The packages with programs, of which one is installed.
const NAMES: [&str; 2] = ["maru-home", "maru"];
/// Beginning of the names of packages with a model.
const MODEL: &str = "maru-model-";
/// Longest word in a package's description that is shown, in characters.
const WORD_MAX: usize = 100;

/// What a package says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

/// The installed package with programs.
pub(super) fn installed() -> Option<Package> {
    NAMES.into_iter().find_map(|name| {
        let format = "--showformat=${db:Status-Status}\n${Version}\n${Architecture}\n";
        let said = output("dpkg-query", &["--show", format, name]).ok()?;
        let mut lines = said.lines();
        let is_there =
            lines.next().is_some_and(|status| !["not-installed", "config-files"].contains(&status));
        let (version, architecture) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        is_there.then(|| Package { name: name.to_owned(), version, architecture })
    })
}

/// The files of the installed package.
pub(super) fn files() -> Vec<PathBuf> {
    let listed = installed().and_then(|it| output("dpkg-query", &["--listfiles", &it.name]).ok());
    listed.unwrap_or_default().lines().map(PathBuf::from).collect()
}

/// Reads a package's file, and fails unless it may be installed over `installed`, or beside it. The same version `repairs` what
/// dpkg takes for another one.
pub(super) fn check(file: &Path, installed: &Package, repairs: bool) -> anyhow::Result<Package> {
    let shown = file.display();
    let name = file.to_str().with_context(|| message!("upgrade-not-a-package", path = shown))?;
    let format = "--showformat=${Package}\n${Version}\n${Architecture}\n";
    let said = output("dpkg-deb", &["--show", format, "--", name])
        .with_context(|| message!("upgrade-not-a-package", path = shown))?;
    let mut words = said.lines().map(|word| foreign::short(word, WORD_MAX));
    let mut word = || words.next().unwrap_or_default();
    let package = Package { name: word(), version: word(), architecture: word() };
    let Package { name, version, architecture } = &package;
    if ![&*installed.architecture, "all"].contains(&&**architecture) {
        let own = &installed.architecture;
        bail!(message!("upgrade-architecture", path = shown, architecture, own));
    }
    if name.starts_with(MODEL) {
        return Ok(package);
    }
    if *name != installed.name {
        bail!(message!("upgrade-other-package", path = shown, name, own = &installed.name));
    }
    let newer = if repairs { "ge" } else { "gt" };
    if output("dpkg", &["--compare-versions", version, newer, &installed.version]).is_err() {
        bail!(message!("upgrade-not-newer", path = shown, version, own = &installed.version));
    }
    Ok(package)
}

fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let done = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").output();
    let done = done.with_context(|| message!("upgrade-no-program", program))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!(foreign::short(said.lines().next().unwrap_or_default(), WORD_MAX));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
