//! Work beside the tests, which wait much of their time: with what the processors have left over.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command},
};

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// A command in the background; killed when dropped.
#[derive(Debug)]
pub(crate) struct Background {
    process: Child,
    log: PathBuf,
}

impl Background {
    /// `program`, to be started by [`Self::start`]: it gives way to whatever else wants to run.
    pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = workspace::with_cargo("chrt");
        command.args(["--idle", "0"]).arg(program);
        command
    }

    /// Starts it; what it says goes to `log`, whose folder is made.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        fs::create_dir_all(log.parent().context("the log has no folder")?)?;
        let said = File::create(&log)?;
        command.stdout(said.try_clone()?).stderr(said);
        let process = command.spawn().context("chrt (util-linux) does not run")?;
        Ok(Self { process, log })
    }

    /// Waits for it; fails with `what` and all that it said if it did.
    pub(crate) fn wait(mut self, what: &str) -> Result<()> {
        let status = self.process.wait()?;
        ensure!(status.success(), "{what}:\n{}", fs::read_to_string(&self.log)?);
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn what_a_failed_command_said_is_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let run = |script: &str| {
            let mut command = Background::command("sh");
            command.args(["-c", script]).stdin(Stdio::null());
            Background::start(&mut command, dir.path().join("a/log")).unwrap().wait("it failed")
        };
        run("echo fine").unwrap();
        let error = run("echo one; echo two >&2; exit 3").unwrap_err().to_string();
        assert_eq!(error, "it failed:\none\ntwo\n");
    }
}
