//! Finds the processes that hold a needed port.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use messages::{Message, message};

/// State `LISTEN` of a TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A protocol above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port that a service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
    /// What needs it.
    pub service: &'static str,
    /// The keys that set it, as they stand in a file of settings.
    pub keys: &'static str,
    /// The file of these settings.
    pub file: &'static str,
}

/// A needed port that another process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConflict {
    port: Port,
    /// Process number and name, if they can be found.
    holder: Option<(u32, String)>,
}

impl PortConflict {
    /// The port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// Who holds the port, for people.
    #[must_use]
    pub fn message(&self) -> Message {
        let Port { protocol, number, service, .. } = self.port;
        let protocol = match protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        match &self.holder {
            Some((pid, name)) => message!("port-held-by", protocol, number, service, name, pid),
            None => message!("port-held", protocol, number, service),
        }
    }
}

/// What to do about ports that are held.
#[must_use]
pub fn advice(taken: &[PortConflict]) -> Message {
    let settings = taken.iter().map(|PortConflict { port: Port { keys, file, .. }, .. }| {
        message!("port-setting", keys, file).to_string()
    });
    message!("fix-port", settings = settings.collect::<Vec<_>>().join(", "))
}

/// The ports of `wanted` that other processes hold.
pub fn taken(wanted: &[Port]) -> anyhow::Result<Vec<PortConflict>> {
    let mut taken = Vec::new();
    for &port in wanted {
        let files: [&str; 2] = match port.protocol {
            Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
            Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        };
        for file in files.map(Path::new) {
            if !file.exists() {
                continue;
            }
            let table = std::fs::read_to_string(file)
                .with_context(|| message!("file-not-read", path = file.display()))?;
            if let Some(&inode) = sockets(&table, port.protocol).get(&port.number) {
                taken.push(PortConflict { port, holder: holder(inode) });
                break;
            }
        }
    }
    Ok(taken)
}

/// Inode of the socket on each port of a table in `/proc/net` (proc(5)).
fn sockets(table: &str, protocol: Protocol) -> BTreeMap<u16, u64> {
    let mut sockets = BTreeMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, state, ..] = fields.as_slice() else { continue };
        if protocol == Protocol::Tcp && *state != LISTENING {
            continue;
        }
        let port = local.rsplit(':').next().and_then(|hex| u16::from_str_radix(hex, 16).ok());
        let inode = fields.get(9).and_then(|text| text.parse().ok());
        if let (Some(port), Some(inode)) = (port, inode) {
            sockets.insert(port, inode);
        }
    }
    sockets
}

/// The process that has the socket open.
fn holder(inode: u64) -> Option<(u32, String)> {
    let target = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files.flatten().any(|file| {
            std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == target.as_str())
        });
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::{Port, Protocol, advice, taken};

    #[test]
    fn a_held_port_names_its_holder() {
        let tcp = TcpListener::bind(lab::free_port().unwrap()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = tcp.local_addr().unwrap().port();
        let (keys, file) = ("`listen`", "relay.toml");
        let wanted = Port { protocol: Protocol::Tcp, number, service: "relay", keys, file };
        let other = udp.local_addr().unwrap().port();
        let unrelated =
            Port { protocol: Protocol::Udp, number: other, service: "agent", keys, file };

        let found = taken(&[wanted, unrelated]).unwrap();

        assert_eq!(found.len(), 2);
        let said = found[0].message().to_string();
        assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
        assert!(advice(&found[..1]).to_string().ends_with("`listen` in relay.toml"));
        drop((tcp, udp));
        assert_eq!(taken(&[wanted]).unwrap(), []);
    }
}
