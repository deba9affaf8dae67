//! A program of OpenPCC's, or `openpcc-peer`, which drives its packages.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use testkit::blocking::eventually;

/// How long anything may take that is waited for.
const SOON: Duration = Duration::from_secs(60);

/// A program that runs; dropping it ends it.
pub(super) struct Peer {
    child: Child,
    hears: Option<ChildStdin>,
    events: Receiver<Value>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Starts a program of the folder that `cargo xtask` built.
    pub(super) fn start(program: &str, args: &[&str]) -> Self {
        let folder =
            env::var_os("MARU_STOCK_OPENPCC").expect("`cargo xtask interop openpcc` sets it");
        let mut child = Command::new(PathBuf::from(folder).join(program))
            .args(args)
            // Nothing is told to anybody, and no proxy is asked.
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (said, events) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Stock programs say other things too.
        let lines = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
        thread::spawn(move || lines.into_iter().try_for_each(|event| said.send(event)));
        Self { hears: child.stdin.take(), child, events }
    }

    /// One of its servers, once it listens.
    pub(super) fn server(program: &str, port: u16) -> Self {
        let mut peer = Self::start(program, &[]);
        eventually(&format!("{program} listens at {port}"), || {
            assert_eq!(peer.child.try_wait().unwrap(), None, "{program} ended");
            TcpStream::connect(("127.0.0.1", port))
        });
        peer
    }

    /// OpenPCC's relay, which passes everything on to port 3200 of its machine.
    pub(super) fn relay() -> Self {
        Self::server("ohttp-relay", 3100)
    }

    /// `openpcc-peer` with a command, and the event that says it is ready.
    pub(super) fn ours(args: &[&str]) -> (Self, Value) {
        let peer = Self::start("openpcc-peer", args);
        let ready = peer.until("ready");
        (peer, ready)
    }

    /// Sends a line.
    pub(super) fn tell(&mut self, line: &Value) {
        writeln!(self.hears.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next event.
    pub(super) fn next(&self) -> Value {
        self.events.recv_timeout(SOON).expect("it says something in time")
    }

    /// The next event of this name; a failure before it is one.
    pub(super) fn until(&self, name: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == name {
                return event;
            }
            let failed = event["event"] == "failed" || event["event"] == "error";
            assert!(!failed, "waiting for {name}: {event}");
        }
    }
}
