//! The guest agent of QEMU, which runs commands as root in the machine (`qemu-qga-ref(7)`).
//!
//! Requests and answers are lines of JSON over a UNIX socket that ends at a virtual serial port of the machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::stop;

/// How long an answer may take: the agent answers at once, but the machine is slow.
const ANSWER: Duration = Duration::from_secs(5 * 60);
/// How long a machine that starts may take before it answers a greeting.
const GREETING: Duration = Duration::from_secs(20);
/// How often a command is looked at.
const POLL: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit status; 128 and the number of the signal that ended it.
    pub(super) status: i64,
    /// What it wrote to standard output and standard error.
    pub(super) text: String,
}

/// A connection to the agent.
#[derive(Debug)]
pub(super) struct Agent {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    /// When the machine has to be done with everything.
    deadline: Instant,
}

impl Agent {
    /// Waits until the agent answers at `path`.
    pub(super) fn connect(path: &Path, deadline: Instant) -> Result<Self> {
        loop {
            check(deadline)?;
            if let Ok(stream) = UnixStream::connect(path) {
                let stream = BufReader::new(stream);
                let mut agent = Self { path: path.to_owned(), stream, deadline };
                if agent.greet().is_ok() {
                    agent.stream.get_ref().set_read_timeout(Some(ANSWER))?;
                    return Ok(agent);
                }
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the agent answers again, after the machine started anew. The emulator has one connection at a time.
    pub(super) fn reconnect(&mut self) -> Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Both)?;
        *self = Self::connect(&self.path, self.deadline)?;
        Ok(())
    }

    /// Runs a script of bash to its end.
    pub(super) fn run(&mut self, script: &str) -> Result<Ended> {
        let command = json!({ "path": "/bin/bash", "arg": ["-c", script], "capture-output": true });
        let pid = self.ask("guest-exec", &command)?["pid"].clone();
        loop {
            thread::sleep(POLL);
            check(self.deadline)?;
            let status = self.ask("guest-exec-status", &json!({ "pid": pid }))?;
            if status["exited"] == true {
                let text = [text(&status["out-data"])?, text(&status["err-data"])?].concat();
                let signal = status["signal"].as_i64().map(|number| 128 + number);
                let status = status["exitcode"].as_i64().or(signal);
                return Ok(Ended { status: status.context("the command has no status")?, text });
            }
        }
    }

    /// Starts a script and does not wait for it.
    pub(super) fn start(&mut self, script: &str) -> Result<()> {
        self.ask("guest-exec", &json!({ "path": "/bin/bash", "arg": ["-c", script] })).map(drop)
    }

    /// Sends a number until it comes back: what an agent before this one was asked may be answered first.
    fn greet(&mut self) -> Result<()> {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(GREETING))?;
        let id = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
        self.send("guest-sync", &json!({ "id": id }))?;
        while self.receive()?["return"] != id {}
        Ok(())
    }

    fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        self.send(command, arguments)?;
        let mut answer = self.receive()?;
        match answer.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => bail!("the machine refuses {command}: {answer}"),
        }
    }

    fn send(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let line = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{line}").context("the machine is gone")
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).context("the machine does not answer")?;
        ensure!(!line.is_empty(), "the machine is gone");
        serde_json::from_str(&line).context("the machine does not answer in JSON")
    }
}

/// Fails once the machine has taken too long, or a stop was requested.
pub(super) fn check(deadline: Instant) -> Result<()> {
    stop::check()?;
    ensure!(Instant::now() < deadline, "the machine takes too long: allow more with --minutes");
    Ok(())
}

/// Decodes what a command wrote.
fn text(data: &Value) -> Result<String> {
    let bytes = STANDARD.decode(data.as_str().unwrap_or_default())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
