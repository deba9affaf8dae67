//! The network's names on machines with other programs' resolvers, which are the real ones.
//!
//! Fails if programs do not learn the network's names, if other names or the network's reach somebody else than before, if a
//! change of the network leaves a machine without names, or if an agent that was killed leaves something.

use std::{
    cell::RefCell,
    fs,
    net::UdpSocket,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
};

use lab::{Machine, inside::processes, resolvers};
use node_agent_api::leftovers;
use rustix::process::{Pid, Signal, kill_process};
use testkit::blocking::eventually;

use super::{
    control_plane::{ControlPlane, Node, resolve, restore},
    routes,
};

/// A name of the internet, and one that the network does not have.
const OTHER: &str = "www.example.org";
const NOBODY: &str = "nobody.maru.home.arpa";

/// The resolver of a network: knows one name, and remembers which it was asked.
struct Uplink {
    address: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Uplink {
    /// Starts it on the router; the last octet of what it says is `last`.
    fn start(plane: &ControlPlane, address: &'static str, last: u8) -> Self {
        let router = &plane.topology.router;
        router.sh(&format!("ip addr replace {address}/24 dev lap2")).unwrap();
        Self::on(router, address, last)
    }

    /// Starts it on a machine that has the address.
    fn on(machine: &Machine, address: &'static str, last: u8) -> Self {
        let socket = machine.in_network(|| UdpSocket::bind((address, 53)).unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let known = Arc::clone(&asked);
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut packet) {
                let Some((name, question)) = question(&packet[..len]) else { continue };
                let (exists, is_v4) = (name == OTHER, question.ends_with(&[0, 1, 0, 1]));
                known.lock().unwrap().push(name);
                let (code, count) = (if exists { 0 } else { 3 }, u8::from(exists && is_v4));
                let mut answer =
                    vec![packet[0], packet[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
                answer.extend_from_slice(question);
                if count == 1 {
                    answer.extend_from_slice(&[
                        0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, last,
                    ]);
                }
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, asked }
    }

    fn was_asked(&self, part: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|name| name.ends_with(part))
    }
}

/// The name of a query and its question section.
fn question(packet: &[u8]) -> Option<(String, &[u8])> {
    let (mut at, mut labels) = (12, Vec::new());
    while *packet.get(at)? != 0 {
        let end = at + 1 + usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(packet.get(at + 1..end)?).to_lowercase());
        at = end;
    }
    Some((labels.join("."), packet.get(12..at + 5)?))
}

/// The first IPv4 address of a name, as a program of the machine learns it.
fn getent(machine: &Machine, name: &str) -> Option<String> {
    let printed = machine.sh(&format!("getent ahostsv4 {name} || true")).unwrap();
    printed.split_whitespace().next().map(str::to_owned)
}

/// An agent that has joined, whose names reach programs by this method; and its own name.
fn joined(
    plane: &ControlPlane,
    machine: &Arc<Machine>,
    settings: &str,
    method: &str,
) -> (Node, String) {
    let node = Node::start(machine, settings);
    node.join(&plane.invite("juno", true));
    node.wait_for_state("running");
    is_led(&node, method);
    let name = node.status()["node"]["name"].as_str().unwrap().to_owned() + ".maru.home.arpa";
    (node, name)
}

fn is_led(node: &Node, method: &str) {
    eventually(&format!("{method}: {}", node.log()), || node.status()["dns"] == method);
}

/// Kills every process of the agent at once.
fn kill_all(machine: &Machine) {
    let all = processes(machine.pid()).unwrap().into_iter();
    for (pid, _) in all.filter(|(_, name)| name.starts_with("maru-")) {
        let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
    }
}

fn tables(machine: &Machine) -> String {
    machine.sh("nft list tables | grep maru || true").unwrap()
}

#[test]
#[ignore = "needs: root, resolvers"]
fn systemd_resolved_asks_the_agent_for_the_networks_names_alone() {
    let plane = ControlPlane::new();
    let machine = plane.topology.laptops[0].clone();
    let (first, second) =
        (Uplink::start(&plane, "10.77.2.1", 1), Uplink::start(&plane, "10.77.2.9", 2));
    let mut resolved = resolvers::resolved(&machine).unwrap();
    let uplink = |address| machine.sh(&format!("resolvectl dns eth0 {address}")).unwrap();
    uplink(first.address);
    let (mut node, own) = joined(&plane, &machine, "", "systemd-resolved");
    let knows_names = || {
        eventually("the network's names", || getent(&machine, &own) == Some(node.address()));
        let reverse = machine.sh(&format!("getent hosts {}", node.address())).unwrap();
        assert!(reverse.contains(&own), "{reverse}");
        assert_eq!(getent(&machine, NOBODY), None);
    };

    knows_names();
    assert_eq!(getent(&machine, OTHER).as_deref(), Some("192.0.2.1"));
    // A container's question to the agent is forwarded to the network's resolver.
    eventually("forwarded", || resolve(&machine, OTHER) == Some((0, vec!["192.0.2.1".to_owned()])));

    // Another network, and an upgrade of systemd-resolved.
    uplink(second.address);
    eventually("the new resolver", || getent(&machine, OTHER).as_deref() == Some("192.0.2.2"));
    eventually("forwarded", || resolve(&machine, OTHER) == Some((0, vec!["192.0.2.2".to_owned()])));
    knows_names();
    resolved.restart(&machine).unwrap();
    uplink(second.address);
    eventually("after its restart", || getent(&machine, OTHER).is_some());
    knows_names();

    for uplink in [&first, &second] {
        assert!(!uplink.was_asked("maru.home.arpa") && !uplink.was_asked("100.in-addr.arpa"));
    }

    // Another program takes the setting away.
    let interface = machine.sh("ip -br link | grep -o 'maru[0-9a-f]*'").unwrap();
    machine.sh(&format!("resolvectl revert {interface}")).unwrap();
    knows_names();

    node.stop();
    let left = machine.sh("resolvectl status; cat /etc/resolv.conf").unwrap();
    assert!(!left.contains("100.100.100.100"), "{left}");
    assert_eq!(getent(&machine, OTHER).as_deref(), Some("192.0.2.2"));

    // It is removed while the agent has settings at an interface: those end with that, and all else is undone.
    let [record, backup] =
        [leftovers::RECORD, leftovers::RESOLV_CONF].map(|path| node.root.path().join(path));
    fs::write(&record, "systemd-resolved eth0\n").unwrap();
    fs::write(&backup, "nameserver 192.0.2.53\n").unwrap();
    machine.sh("mount --bind /dev/null /usr/bin/resolvectl").unwrap();
    let (status, said) = restore(&node, None);
    assert!(status == Some(0) && said.contains("end with the interface"), "{said}");
    assert!(!record.exists() && !backup.exists());
}

#[test]
#[ignore = "needs: root, resolvers"]
fn openresolv_names_the_agent_and_is_as_before_after_a_kill() {
    let plane = ControlPlane::new();
    let machine = plane.topology.laptops[0].clone();
    let (first, second) =
        (Uplink::start(&plane, "10.77.2.1", 1), Uplink::start(&plane, "10.77.2.9", 2));
    resolvers::openresolv(&machine).unwrap();
    let uplink = |address| {
        machine
            .sh(&format!("printf 'nameserver {address}\nsearch lan\n' | resolvconf -a eth0"))
            .unwrap();
    };
    let conf = || fs::read_to_string(machine.path("/etc/resolv.conf")).unwrap();
    uplink(first.address);
    let before = conf();
    let (mut node, own) = joined(&plane, &machine, "", "resolvconf");

    assert!(conf().contains("nameserver 100.100.100.100"), "{}", conf());
    assert!(!conf().contains(first.address), "{}", conf());
    assert!(conf().contains("search maru.home.arpa lan"), "{}", conf());
    assert_eq!(getent(&machine, &own), Some(node.address()));
    assert_eq!(getent(&machine, NOBODY), None);
    assert_eq!(getent(&machine, OTHER).as_deref(), Some("192.0.2.1"));

    uplink(second.address);
    eventually("the new resolver", || getent(&machine, OTHER).as_deref() == Some("192.0.2.2"));
    assert_eq!(getent(&machine, &own), Some(node.address()));

    uplink(first.address);
    kill_all(&machine);
    node.agent.take();
    assert!(conf().contains("100.100.100.100") && !tables(&machine).is_empty(), "left behind");
    assert_eq!(restore(&node, None), (Some(0), String::new()));
    assert_eq!((conf(), tables(&machine)), (before.clone(), String::new()));
    assert_eq!(restore(&node, None), (Some(0), String::new()), "again");

    node.run();
    is_led(&node, "resolvconf");
    node.stop();
    assert_eq!(conf(), before);
    assert!(!first.was_asked("maru.home.arpa") && !second.was_asked("maru.home.arpa"));
}

/// With an exit node, the agent is asked for every name, and asks through the tunnel.
fn every_name_goes_through_an_exit_node(method: &str, prepare: impl Fn(&Machine, &str)) {
    let plane = ControlPlane::new();
    plane.open_policy();
    let behind = routes::printer(&plane.topology.home);
    let _home = routes::router(&plane);
    let machine = plane.topology.laptops[0].clone();
    let near = Uplink::start(&plane, "10.77.2.1", 1);
    let far = Uplink::on(&behind, "192.168.9.2", 9);
    prepare(&machine, near.address);
    let settings = format!("exit_node = \"server\"\nexit_node_dns = [\"{}\"]\n", far.address);
    let (mut node, own) = joined(&plane, &machine, &settings, method);
    assert_eq!(getent(&machine, &own), Some(node.address()));
    // Not approved yet: no name leaves.
    assert_eq!(getent(&machine, OTHER), None);
    routes::approve_of(&plane, "server", &[routes::LAN, "0.0.0.0/0", "::/0"]);

    eventually("through the tunnel", || {
        machine.sh("resolvectl flush-caches || true").unwrap();
        getent(&machine, OTHER).filter(|found| found == "192.0.2.9")
    });
    assert_eq!(getent(&machine, &own), Some(node.address()));
    assert_eq!(getent(&machine, NOBODY), None);
    assert!(!far.was_asked("maru.home.arpa"));
    assert!(!near.was_asked(""), "beside the tunnel");

    node.stop();
    assert_eq!(restore(&node, None), (Some(0), String::new()), "the kill switch ends");
    eventually("as before", || {
        machine.sh("resolvectl flush-caches || true").unwrap();
        getent(&machine, OTHER).filter(|found| found == "192.0.2.1")
    });
}

#[test]
#[ignore = "needs: root, resolvers"]
fn with_an_exit_node_systemd_resolved_asks_the_agent_for_every_name() {
    let resolved = RefCell::new(None);
    every_name_goes_through_an_exit_node("systemd-resolved", |machine, uplink| {
        resolved.replace(Some(resolvers::resolved(machine).unwrap()));
        machine.sh(&format!("resolvectl dns eth0 {uplink}")).unwrap();
    });
}

#[test]
#[ignore = "needs: root, resolvers"]
fn with_an_exit_node_openresolv_names_the_agent_which_asks_through_it() {
    every_name_goes_through_an_exit_node("resolvconf", |machine, uplink| {
        resolvers::openresolv(machine).unwrap();
        machine.sh(&format!("echo nameserver {uplink} | resolvconf -a eth0")).unwrap();
    });
}

/// A laptop that sleeps and wakes elsewhere: the network goes, and its DHCP client writes the file anew.
#[test]
#[ignore = "needs: root"]
fn a_file_that_is_written_anew_leaves_no_program_without_names() {
    let plane = ControlPlane::new();
    let machine = plane.topology.laptops[0].clone();
    let (first, second) =
        (Uplink::start(&plane, "10.77.2.1", 1), Uplink::start(&plane, "10.77.2.9", 2));
    let conf = machine.path("/etc/resolv.conf");
    let dhcp = |text: &str| fs::write(&conf, text).unwrap();
    dhcp(&format!("nameserver {}\n", first.address));
    let (mut node, own) = joined(&plane, &machine, "", "resolv-conf");
    let names = |other: Option<&str>| {
        eventually(&format!("{other:?}"), || getent(&machine, OTHER).as_deref() == other);
        eventually("the network's names", || getent(&machine, &own) == Some(node.address()));
    };
    names(Some("192.0.2.1"));

    // The network goes: no resolver, and then what the client had saved.
    dhcp("# Generated by a client\n");
    names(None);
    let saved = "# Generated by a client\nnameserver 100.100.100.100\n";
    dhcp(&format!("nameserver {}\n", first.address));
    names(Some("192.0.2.1"));
    dhcp(saved);
    names(Some("192.0.2.1"));

    // Another network's, by a new file.
    machine
        .sh(&format!("echo nameserver {} > /etc/new; mv /etc/new /etc/resolv.conf", second.address))
        .unwrap();
    names(Some("192.0.2.2"));

    // Killed, with its helper: one command undoes it, but not under a running agent.
    kill_all(&machine);
    node.agent.take();
    assert_eq!(restore(&node, None), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(&conf).unwrap(), format!("nameserver {}\n", second.address));
    assert_eq!(tables(&machine), "");
    // Started as its unit starts it, where there is no file: everybody can read the one that it makes.
    fs::remove_file(&conf).unwrap();
    let mut agent = machine.command("sh");
    agent.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(lab::binary("maru-agent").unwrap());
    agent.arg("--root").arg(node.root.path()).stdin(Stdio::null()).stderr(Stdio::null());
    node.agent = Some(machine.spawn(&mut agent).unwrap());
    eventually("its local API", || UnixStream::connect(node.socket()).ok());
    is_led(&node, "resolv-conf");
    assert_eq!(fs::metadata(&conf).unwrap().permissions().mode() & 0o777, 0o644);
    let (status, said) = restore(&node, None);
    assert!(status == Some(1) && said.contains("stop it"), "{said}");
    assert!(fs::read_to_string(&conf).unwrap().contains("100.100.100.100"));
    assert!(!tables(&machine).is_empty());
    node.stop();
}
