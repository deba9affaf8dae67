//! The stock chain of OpenPCC, running, and its stock client, which asks it.
//!
//! Its programs listen at fixed ports, so they are in a network of their own. Its node answers by itself, without a model
//! server behind it: the whole time until the first byte is what the chain takes.

use std::{
    io::{BufRead as _, BufReader, Lines},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use lab::Machine;
use serde_json::Value;

use super::{
    ours,
    plan::{PARALLEL, SEQUENTIAL},
};
use crate::{bench::process::Running, go};

/// Its servers and their ports, as they are started: each asks those before it.
const SERVERS: [(&str, u16); 6] = [
    ("ohttp-relay", 3100),
    ("mem-bank", 3500),
    ("mem-credithole", 3501),
    ("mem-router", 3600),
    ("mem-auth", 3000),
    ("mem-compute", 3700),
];
/// Requests at once, in all: few, since most were seen to fail, each after its time.
const REQUESTS: usize = 160;
/// What its node answers as.
const MODEL: &str = "test-model";

/// What it took, and the resident memory of each server in KiB.
pub(super) fn measure() -> Result<(Value, Vec<(String, u64)>)> {
    let programs = go::openpcc()?;
    let machine = Machine::new("bench-stock-openpcc")?;
    machine.in_network(|| asked(&programs))
}

fn asked(programs: &Path) -> Result<(Value, Vec<(String, u64)>)> {
    let dir = tempfile::tempdir()?;
    let mut servers = Vec::new();
    for (name, port) in SERVERS {
        let log = dir.path().join(name);
        let mut server = Running::start(&mut Command::new(programs.join(name)), &log)?;
        ours::listens(&mut server, &log, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        servers.push((name, server));
    }
    let mut gateway = PeerProcess::start(programs, &["gateway"])?;
    let ready = gateway.until("ready")?;
    let key = ready["key"].as_str().context("the gateway says its key")?;
    let words = [
        format!("-key={key}"),
        format!("-model={MODEL}"),
        format!("-sequential={SEQUENTIAL}"),
        format!("-parallel={PARALLEL}"),
        format!("-requests={REQUESTS}"),
    ];
    let mut args = vec!["measure", "-ak=stock"];
    args.extend(["-relay=http://localhost:3100", "-paid=http://localhost:3000"]);
    args.extend(words.iter().map(String::as_str));
    let mut client = PeerProcess::start(programs, &args)?;
    let mut figures = client.until("measured")?;
    figures.as_object_mut().context("figures")?.remove("event");
    let mut memory = Vec::new();
    for (name, server) in &mut servers {
        // Its node was seen to end under several requests at once.
        if server.is_alive()? {
            memory.push((format!("stock {name}"), server.memory_kib("VmRSS")?));
        }
    }
    Ok((figures, memory))
}

/// A process of `openpcc-peer` with the events that it prints; killed when dropped.
struct PeerProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl PeerProcess {
    fn start(programs: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(programs.join("openpcc-peer"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("openpcc-peer does not start")?;
        let output = child.stdout.take().context("no pipe")?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    /// The next event of this name; a failure before it is one.
    fn until(&mut self, name: &str) -> Result<Value> {
        for line in self.lines.by_ref() {
            // The packages that it drives print other things, too.
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            if event["event"] == name {
                return Ok(event);
            }
            if event["event"] == "failed" {
                bail!("openpcc-peer: {}", event["error"]);
            }
        }
        bail!("openpcc-peer ended before it said \"{name}\"")
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // It has ended otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
