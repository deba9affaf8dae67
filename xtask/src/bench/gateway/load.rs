//! The model server, and the callers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use super::place::ListenAddress;
use crate::bench::process::Running;

/// The example of `ai-gateway` that asks and answers.
pub(in crate::bench) const EXAMPLE: &str = "load";
/// TCP port of the model server, for peers that know no UNIX socket.
pub(super) const PORT: u16 = 18_990;

/// A folder for sockets and settings, with the model server running in it.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) dir: tempfile::TempDir,
    pub(super) program: PathBuf,
    _server: Running,
}

impl Load {
    /// Starts the server.
    pub(super) fn start() -> Result<Self> {
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
}
