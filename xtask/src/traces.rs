//! Detects what a run changed on the host, or left behind.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// The state of a TCP socket that listens, as `/proc/net` writes it (Linux, `net/tcp_states.h`).
const LISTEN: &str = "0A";
/// The state of an unconnected UDP socket.
const UNCONNECTED: &str = "07";

/// What the host is, and what a run makes and has to take away again; a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    /// Interfaces, routes, routing rules, resolver, tables, listening ports: never changes.
    host: BTreeSet<String>,
    /// Mounts, machines of the lab, control groups, temporary files: none is added in the end.
    things: BTreeSet<String>,
}

impl Traces {
    /// What is there now.
    pub(crate) fn now() -> Result<Self> {
        let mut traces = Self::default();
        let mut host = |kind: &str, lines: Vec<String>| {
            traces.host.extend(lines.into_iter().map(|line| format!("{kind}: {line}")));
        };
        host("interface", names(Path::new("/sys/class/net"))?);
        for family in ["-4", "-6"] {
            let routes = said("ip", &[family, "route", "show", "table", "all"])?;
            host("route", routes.iter().map(|route| without_age(route)).collect());
            host("rule", said("ip", &[family, "rule", "list"])?);
        }
        host("table", said("nft", &["--stateless", "list", "ruleset"])?);
        host("resolver", resolver());
        host("port", ports()?);
        let mut things = |kind: &str, lines: Vec<String>| {
            traces.things.extend(lines.into_iter().map(|line| format!("{kind}: {line}")));
        };
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("no /proc")?;
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        things("mount", places.map(str::to_owned).collect());
        things("machine", lab::clean::list()?.into_iter().map(|(name, _)| name).collect());
        let mut groups = Vec::new();
        control_groups(Path::new("/sys/fs/cgroup"), &mut groups);
        things("control group", groups);
        things("temporary file", names(&std::env::temp_dir())?);
        Ok(traces)
    }

    /// Fails if the host differs from `before`; removed things are changes, too.
    pub(crate) fn host_is_as(&self, before: &Self) -> Result<()> {
        let changes = changes(&before.host, &self.host);
        ensure!(changes.is_empty(), "the host has changed:\n{}", changes.join("\n"));
        Ok(())
    }

    /// Fails if the host differs from `before`, or anything was left behind.
    pub(crate) fn nothing_remains_since(&self, before: &Self) -> Result<()> {
        self.host_is_as(before)?;
        let new: Vec<_> = self.things.difference(&before.things).map(String::as_str).collect();
        ensure!(new.is_empty(), "left behind:\n{}", new.join("\n"));
        Ok(())
    }
}

/// What came and what has gone.
fn changes(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let new = after.difference(before).map(|line| format!("new: {line}"));
    new.chain(before.difference(after).map(|line| format!("gone: {line}"))).collect()
}

/// A route without the seconds that it has left: a router announces it again and again.
fn without_age(route: &str) -> String {
    let mut words: Vec<_> = route.split_whitespace().collect();
    if let Some(at) = words.iter().position(|word| *word == "expires") {
        words.drain(at..(at + 2).min(words.len()));
    }
    words.join(" ")
}

/// The resolver's settings, and what the file is a link to, if it is one.
fn resolver() -> Vec<String> {
    let path = Path::new("/etc/resolv.conf");
    let link = fs::read_link(path).map(|to| format!("link to {}", to.display()));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).chain(link.ok()).collect()
}

/// Sockets that wait for anybody: protocol, address and port.
fn ports() -> Result<Vec<String>> {
    let mut ports = Vec::new();
    for (file, protocol, state) in [
        ("tcp", "TCP", LISTEN),
        ("tcp6", "TCP", LISTEN),
        ("udp", "UDP", UNCONNECTED),
        ("udp6", "UDP", UNCONNECTED),
    ] {
        // A kernel without IPv6 has no such file.
        let table = fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let mut fields = line.split_whitespace().skip(1);
            let (local, is) = (fields.next(), fields.nth(1));
            if is == Some(state) {
                let local =
                    local.and_then(address).with_context(|| format!("no socket: {line}"))?;
                ports.push(format!("{protocol} {local}"));
            }
        }
    }
    Ok(ports)
}

/// Reads `0100007F:0035`: the kernel writes an address as words of 32 bits in the order of this
/// machine's bytes.
fn address(text: &str) -> Option<String> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::from(Ipv4Addr::from(bytes)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(format!("{address} port {port}"))
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("no {}", dir.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn said(program: &str, args: &[&str]) -> Result<Vec<String>> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("cannot run {program}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Those of containers and of Maru; what else the host does is its own affair.
fn control_groups(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let text = path.to_string_lossy().into_owned();
        if ["maru", "libpod", "conmon"].iter().any(|word| text.contains(word)) {
            found.push(text);
        }
        control_groups(&path, found);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn set(lines: &[&str]) -> BTreeSet<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_has_gone_from_the_host_is_a_change_as_what_is_new_is() {
        let traces = |host: &[&str]| Traces { host: set(host), things: BTreeSet::new() };
        let before = traces(&["interface: lo", "route: default"]);
        assert!(before.host_is_as(&before).is_ok());
        let after = traces(&["interface: lo", "interface: maru0"]);
        assert_eq!(
            after.host_is_as(&before).unwrap_err().to_string(),
            "the host has changed:\nnew: interface: maru0\ngone: route: default"
        );
        assert!(after.nothing_remains_since(&before).is_err());
    }

    #[test]
    fn a_thing_that_is_new_was_left_behind_and_one_that_has_gone_was_not() {
        let traces = |things: &[&str]| Traces { host: BTreeSet::new(), things: set(things) };
        let before = traces(&["machine: home"]);
        assert!(traces(&[]).nothing_remains_since(&before).is_ok());
        let left = traces(&["machine: home", "mount: /x"]).nothing_remains_since(&before);
        assert_eq!(left.unwrap_err().to_string(), "left behind:\nmount: /x");
    }

    #[test]
    fn listening_ports_are_seen_as_long_as_they_are_there() {
        let (tcp, udp) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        let expected = [
            format!("TCP 127.0.0.1 port {}", tcp.local_addr().unwrap().port()),
            format!("UDP ::1 port {}", udp.local_addr().unwrap().port()),
        ];
        let there = ports().unwrap();
        assert!(expected.iter().all(|port| there.contains(port)), "{expected:?} in {there:?}");
        drop((tcp, udp));
        let there = ports().unwrap();
        assert!(!expected.iter().any(|port| there.contains(port)), "{expected:?} in {there:?}");
    }

    #[test]
    fn a_route_is_the_same_when_it_has_fewer_seconds_left() {
        let route =
            |age| format!("default via fe80::1 dev eth0 proto ra expires {age} pref medium");
        assert_eq!(without_age(&route("1799sec")), without_age(&route("1700sec")));
        assert_eq!(without_age("10.0.0.0/8 dev eth0"), "10.0.0.0/8 dev eth0");
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_machine_is_seen_as_long_as_it_is_there() {
        let before = Traces::now().unwrap();
        let machine = lab::Machine::new("seen").unwrap();
        let now = Traces::now().unwrap();
        assert!(now.things.difference(&before.things).any(|thing| thing == "machine: seen"));
        drop(machine);
        assert!(!Traces::now().unwrap().things.contains("machine: seen"));
    }

    /// In a network of its own, so that the host stays as it is.
    #[test]
    #[ignore = "needs: root"]
    fn routes_rules_and_tables_are_seen() {
        let machine = lab::Machine::new("changed").unwrap();
        let look = || machine.in_network(|| Traces::now().unwrap().host);
        let before = look();
        machine
            .sh("ip route add 192.0.2.0/24 dev lo; ip -6 route add 2001:db8::/64 dev lo
                ip rule add from 192.0.2.1 table 77; nft add table ip maru_seen")
            .unwrap();
        let new = changes(&before, &look()).join("\n");
        for part in ["route: 192.0.2.0/24", "route: 2001:db8::/64", "from 192.0.2.1", "maru_seen"] {
            assert!(new.contains(part), "{part} in\n{new}");
        }
        assert!(!new.contains("gone: "), "{new}");
        machine.sh("nft delete table ip maru_seen").unwrap();
        assert!(changes(&before, &look()).iter().all(|line| !line.contains("maru_seen")));
    }
}
