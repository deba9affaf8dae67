//! Two machines, and one cable between them.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use lab::{Machine, Process, link};
use tempfile::TempDir;

/// The cable's interface on both machines.
pub(super) const CABLE: &str = "eth0";
/// Largest IP packet inside of every tunnel, in bytes: Maru's, and Tailscale's.
pub(super) const MTU: u32 = 1280;

/// The underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum UnderlayKind {
    /// IPv4 and nothing else.
    Ipv4,
    /// IPv6 and nothing else.
    Ipv6,
    /// IPv4 without UDP: agents meet at the relay.
    Relay,
}

impl UnderlayKind {
    /// The addresses of the server's end and the client's.
    pub(super) fn addresses(self) -> [IpAddr; 2] {
        match self {
            Self::Ipv4 | Self::Relay => [1, 2].map(|end| Ipv4Addr::new(10, 99, 0, end).into()),
            Self::Ipv6 => [1, 2].map(|end| Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, end).into()),
        }
    }
}

impl fmt::Display for UnderlayKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4 outside",
            Self::Ipv6 => "IPv6 outside",
            Self::Relay => "over the relay",
        })
    }
}

/// The machines; ended when dropped.
#[derive(Debug)]
pub(super) struct TestBed {
    /// Where iperf3's server runs, and a coordinator where one is needed.
    pub(super) server: Arc<Machine>,
    /// Where iperf3's client runs.
    pub(super) client: Arc<Machine>,
    pub(super) outside: UnderlayKind,
    state: TempDir,
}

impl TestBed {
    /// Makes them.
    pub(super) fn new(outside: UnderlayKind) -> Result<Self> {
        let (server, client) = (Machine::new("server")?, Machine::new("client")?);
        let addresses = outside.addresses();
        let length = if addresses[0].is_ipv4() { 24 } else { 64 };
        let [server_end, client_end] = addresses.map(|address| format!("{address}/{length}"));
        link((&server, CABLE, &server_end), (&client, CABLE, &client_end))?;
        // Tailscale waits for a network until there is a default route.
        for (machine, other) in [(&server, addresses[1]), (&client, addresses[0])] {
            machine.sh(&format!("ip route add default via {other} dev {CABLE}"))?;
            if outside == UnderlayKind::Relay {
                lose_udp(machine)?;
            }
        }
        let (server, client) = (Arc::new(server), Arc::new(client));
        Ok(Self { server, client, outside, state: tempfile::tempdir()? })
    }

    /// The server, then the client, each with its address on the cable.
    pub(super) fn ends(&self) -> [(&Arc<Machine>, IpAddr); 2] {
        let [server, client] = self.outside.addresses();
        [(&self.server, server), (&self.client, client)]
    }

    /// A port of the server's end of the cable.
    pub(super) fn server_port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.outside.addresses()[0], port)
    }

    /// A folder for what programs leave behind.
    pub(super) fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts a program whose words go to a file of [`Self::state`].
    pub(super) fn spawn(
        &self,
        machine: &Machine,
        command: &mut Command,
        name: &str,
    ) -> Result<Process> {
        let log = fs::File::create(self.log_file(machine, name))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        machine.spawn(command)
    }

    /// What it said.
    pub(super) fn log(&self, machine: &Machine, name: &str) -> String {
        let bytes = fs::read(self.log_file(machine, name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_file(&self, machine: &Machine, name: &str) -> std::path::PathBuf {
        self.state.path().join(format!("{}.{name}.log", machine.name()))
    }
}

/// Loses all UDP that comes over the cable.
fn lose_udp(machine: &Machine) -> Result<()> {
    machine
        .sh(&format!(
            "nft add table inet lose
            nft 'add chain inet lose in {{ type filter hook input priority 0; }}'
            nft add rule inet lose in iifname {CABLE} meta l4proto udp drop"
        ))
        .map(drop)
}

/// The MTU of an interface.
pub(super) fn mtu(machine: &Machine, interface: &str) -> Result<u32> {
    // `/sys` is the host's on every machine; the interface is asked for in the machine's network.
    let text = machine.sh(&format!("ip -json link show dev {interface}"))?;
    let links: serde_json::Value = serde_json::from_str(&text)?;
    let mtu = links[0]["mtu"].as_u64().with_context(|| format!("{interface} has no MTU"))?;
    Ok(u32::try_from(mtu)?)
}
