//! What a peer is asked.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    load::Load,
    peer::{Kind, Peer},
};

/// What is asked.
#[derive(Debug)]
pub(in crate::bench) struct Ask<'a> {
    peer: &'a Peer,
    options: Vec<String>,
}

impl<'a> Ask<'a> {
    /// So many requests.
    pub(in crate::bench) fn new(peer: &'a Peer, requests: u32) -> Self {
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

    /// With another option of the load generator.
    pub(in crate::bench) fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name, value].map(str::to_owned));
        self
    }

    pub(super) fn parallel(mut self, parallel: u32) -> Self {
        self.options.extend(["--parallel".to_owned(), parallel.to_string()]);
        self
    }

    pub(in crate::bench) fn model(mut self, model: &str) -> Self {
        self.options.retain(|option| !option.starts_with("--model="));
        self.options.push(format!("--model={model}"));
        self
    }
}

impl Load {
    /// Has a peer asked.
    pub(in crate::bench) fn ask(&self, ask: &Ask<'_>) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.arg("ask").args(&ask.peer.place.options).args(&ask.options);
        let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(out.status.success(), "{}: the callers failed", ask.peer.kind);
        serde_json::from_slice(&out.stdout).context("the callers say no JSON")
    }
}
