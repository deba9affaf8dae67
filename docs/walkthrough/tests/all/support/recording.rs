//! What goes over an interface, written down by tcpdump.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use lab::{Machine, Process, search::Search};
use rustix::process::Signal;
use testkit::blocking::eventually;

/// How long tcpdump may take to begin, and to write down what went by.
const PATIENCE: Duration = Duration::from_secs(30);
/// No packet is larger, in bytes.
const LARGEST: u32 = 65_535;
/// For packets that tcpdump has not taken yet, in KiB. In immediate mode each takes as much as the largest could, so that
/// the 2 MiB which it has by itself are few packets.
const BUFFER: u32 = 32 << 10;
/// Sent last: what went before it is in the file when it is.
const LAST: &[u8] = b"the last datagram of this recording";

/// A recording of an interface under way.
pub(crate) struct Recording<'a> {
    machine: &'a Machine,
    tcpdump: Process,
    file: String,
}

impl<'a> Recording<'a> {
    /// Writes down everything on an interface, from now on, under this name.
    pub(crate) fn begin(machine: &'a Machine, interface: &str, name: &str) -> Self {
        let file = format!("/run/{name}.pcap");
        machine.sh(&format!("rm -f {file}")).unwrap();
        let script = format!(
            "exec tcpdump --immediate-mode -i {interface} -s {LARGEST} -B {BUFFER} -U -w {file}"
        );
        let mut command = machine.command("bash");
        command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
        let tcpdump = machine.spawn(&mut command).unwrap();
        let recording = Self { machine, tcpdump, file };
        // The file's header is written when the recording has begun.
        recording.wait_for("recording begins", |bytes| bytes.len() >= 24);
        recording
    }

    /// Ends it when all that went by so far is written down: a last datagram, which a machine (this one, or one that sends
    /// through it) sends to `by`, over this interface. The file is read on the machine as the first path, and here as
    /// the second.
    pub(crate) fn finish(mut self, by: SocketAddr) -> (String, PathBuf) {
        self.machine.in_network(|| {
            UdpSocket::bind("0.0.0.0:0").unwrap().send_to(LAST, by).unwrap();
        });
        let last = Search::as_they_are([LAST]).unwrap();
        self.wait_for("the last datagram is written down", |bytes| last.finds_in(bytes));
        self.tcpdump.signal(Signal::INT);
        self.tcpdump.wait_for(PATIENCE).unwrap().expect("tcpdump ends");
        let outside = self.machine.path(&self.file);
        (self.file, outside)
    }

    fn wait_for(&self, what: &str, so: impl Fn(&[u8]) -> bool) {
        let file = self.machine.path(&self.file);
        eventually(what, || so(&fs::read(&file).unwrap_or_default()));
    }
}

/// The packets of a recording that a filter (pcap-filter(7)) lets through, a line each.
pub(crate) fn packets(machine: &Machine, file: &str, filter: &str) -> Vec<String> {
    let text = machine.sh(&format!("tcpdump -nn -r {file} '{filter}' 2>/dev/null")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The name of the tunnel's interface on a machine.
pub(crate) fn tunnel(machine: &Machine) -> String {
    let names = machine.sh("ip -o link | grep -o 'maru[0-9a-f]*' | head -1").unwrap();
    names.trim().to_owned()
}
