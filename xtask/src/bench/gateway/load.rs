//! The model server, and the callers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    EXAMPLE,
    peer::{Kind, Peer, Place},
};
use crate::bench::process::Running;

/// TCP port of the model server, for peers that know no UNIX socket.
pub(super) const PORT: u16 = 18_990;

/// A folder for sockets and settings, with the model server running in it.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) dir: tempfile::TempDir,
    program: PathBuf,
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
    pub(super) fn place(&self) -> Place {
        Place::unix(self.dir.path().join("model.sock"))
    }

    /// Waits until a place answers; fails with what `log` holds.
    pub(super) fn wait_for(&self, place: &Place, log: &Path) -> Result<()> {
        let status = Command::new(&self.program).arg("ready").args(&place.options).status()?;
        ensure!(status.success(), "it did not start:\n{}", fs::read_to_string(log)?);
        Ok(())
    }

    /// Has a peer asked.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.arg("ask").args(&ask.peer.place.options).args(&ask.options);
        let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(out.status.success(), "{}: the callers failed", ask.peer.kind);
        serde_json::from_slice(&out.stdout).context("the callers say no JSON")
    }
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    peer: &'a Peer,
    options: Vec<String>,
}

impl<'a> Ask<'a> {
    /// So many requests.
    pub(super) fn new(peer: &'a Peer, requests: u32) -> Self {
        let mut options = vec!["--requests".to_owned(), requests.to_string()];
        options
            .extend(peer.headers.iter().flat_map(|header| ["--header".to_owned(), header.clone()]));
        if peer.kind == Kind::Sealed {
            options.push("--sealed".to_owned());
        }
        Self { peer, options }.model("fast")
    }

    pub(super) fn streamed(mut self, streamed: bool) -> Self {
        if streamed {
            self.options.push("--stream".to_owned());
        }
        self
    }

    pub(super) fn parallel(mut self, parallel: u32) -> Self {
        self.options.extend(["--parallel".to_owned(), parallel.to_string()]);
        self
    }

    pub(super) fn model(mut self, model: &str) -> Self {
        self.options.retain(|option| !option.starts_with("--model="));
        self.options.push(format!("--model={model}"));
        self
    }
}
