//! Where things lie.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// The target folder: `…/target`, with `<triple>/release` below it.
pub(crate) fn target() -> Result<PathBuf> {
    let binaries = lab::binaries()?;
    Ok(binaries.ancestors().nth(2).context("xtask was not built for a named target")?.to_owned())
}

/// A cargo command without the variables that an outer cargo has set.
///
/// `cargo run` describes the package that it runs in the environment. Build scripts that look at
/// these variables (ring's does) would run again whenever cargo is called the other way, and with
/// them everything that is built on theirs.
pub(crate) fn with_cargo(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("CARGO", env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The number that chooses what takes turns: the hour of the current commit, which a shallow clone has, too.
pub(crate) fn turn(root: &Path) -> Result<usize> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(root).stdin(Stdio::null());
    let out = git.output().context("cannot run git")?;
    let seconds = String::from_utf8_lossy(&out.stdout).trim().parse::<usize>();
    Ok(seconds.context("git has no commit, whose time chooses what takes turns")? / 3600)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_hour_of_commits_has_a_turn_of_its_own_in_a_shallow_clone_too() {
        let dir = tempfile::tempdir().unwrap();
        let [whole, shallow] = ["whole", "shallow"].map(|name| dir.path().join(name));
        fs::create_dir(&whole).unwrap();
        let git = |date: &str, args: &[&str]| {
            let who = ["-c", "user.name=Maru", "-c", "user.email=maru@example.com"];
            let mut git = Command::new("git");
            git.args(who).args(args).env("GIT_COMMITTER_DATE", date).current_dir(&whole);
            assert!(git.status().unwrap().success(), "{args:?}");
        };
        git("", &["init", "--quiet"]);
        assert!(turn(&whole).unwrap_err().to_string().contains("no commit"), "none yet");
        for (date, expected) in [("@3599 +0000", 0), ("@3600 +0000", 1), ("@90000 +0900", 25)] {
            git(date, &["commit", "--quiet", "--allow-empty", "--message", "."]);
            assert_eq!(turn(&whole).unwrap(), expected, "{date}");
        }
        let (from, to) = (format!("file://{}", whole.display()), shallow.to_str().unwrap());
        git("", &["clone", "--quiet", "--depth=1", &from, to]);
        assert_eq!(turn(&shallow).unwrap(), 25);
    }
}
