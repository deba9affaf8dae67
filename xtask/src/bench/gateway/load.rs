//! The model server, and the callers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::place::ListenAddress;
use crate::bench::process::Running;

/// The example of `ai-gateway` that asks and answers.
pub(in crate::bench) const EXAMPLE: &str = "load";
/// TCP port of the model server, for peers that know no UNIX socket.
pub(in crate::bench) const PORT: u16 = 18_990;

/// A folder for sockets and settings, with the model server running in it.
#[derive(Debug)]
pub(in crate::bench) struct Load {
    pub(in crate::bench) dir: tempfile::TempDir,
    pub(in crate::bench) program: PathBuf,
    _server: Running,
}

impl Load {
    /// Starts the server.
    pub(in crate::bench) fn start() -> Result<Self> {
        let program = lab::binary(&format!("examples/{EXAMPLE}"))?;
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(&program);
        command.args(["backend", "--port", &PORT.to_string(), "--unix"]);
        let log = dir.path().join("model.log");
        let server = Running::start(command.arg(dir.path().join("model.sock")), &log)?;
        let load = Self { dir, program, _server: server };
        load.wait_for(&load.place(), &log)?;
        Ok(load)
    }

    /// Where the server itself listens.
    pub(super) fn place(&self) -> ListenAddress {
        ListenAddress::unix(self.dir.path().join("model.sock"))
    }

    /// Waits until a place answers; fails with what `log` holds.
    pub(super) fn wait_for(&self, place: &ListenAddress, log: &Path) -> Result<()> {
        let status = Command::new(&self.program).arg("ready").args(&place.options).status()?;
        ensure!(status.success(), "it did not start:\n{}", fs::read_to_string(log)?);
        Ok(())
    }

    /// How many bytes the last chat had that the server was asked.
    pub(in crate::bench) fn last_bytes(&self) -> Result<u64> {
        let out = Command::new(&self.program).arg("last").args(&self.place().options).output()?;
        String::from_utf8(out.stdout)?.trim().parse().context("the model server says no number")
    }
}
