//! Agents whose tunnels carry as much as they can, on lab machines with the real coordinator.
//!
//! Fails if: a removed device still sends or gets anything five seconds later; another's stream suffers from that, or from
//! a device that sends what the policy refuses; what is refused is not counted; an agent does not end when it is asked
//! to, leaves something behind then, or does not carry streams whole after it was started again, however it ended; an
//! agent uses other offloads than its settings allow and the kernel has, or says so; the connections that a router's kernel
//! follows fill the memory of its agent.
//! Blind to: what the load costs.

use std::{
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{Instance, Machine, STOP, transfer::Transfer};
use node_agent_api::settings::OFFLOADS;
use serde_json::json;
use testkit::blocking::eventually;

use super::{
    control_plane::{self, ControlPlane, Node},
    routes,
};

/// Bytes after which a stream is at full speed.
const SOME: u64 = 20_000_000;
const MANY: u64 = 300_000_000;
/// In so long a stream that goes on carries something.
const A_LOOK: Duration = Duration::from_secs(2);
/// The port of the coordinator.
const COORDINATOR: u16 = 8443;
/// What the policy allows where it does not allow everything.
const ALLOWED: u16 = 7000;

/// The home's agent, and one on each of these laptops; everyone may reach everything.
fn network<const N: usize>(laptops: [&str; N]) -> (ControlPlane, Node, [Node; N]) {
    let plane = ControlPlane::with_laptops(&laptops);
    plane.open_policy();
    let join = |machine, name: &str| {
        let node = Node::start(machine, &format!("hostname = {name:?}\n"));
        node.join(&plane.invite("mina", true));
        node.wait_for_state("running");
        node
    };
    let home = join(&plane.topology.home, "server");
    let nodes = std::array::from_fn(|at| join(&plane.topology.laptops[at], laptops[at]));
    for node in &nodes {
        node.peer("server");
    }
    (plane, home, nodes)
}

fn address(node: &Node) -> IpAddr {
    node.address().parse().unwrap()
}

fn stream(from: &Node, to: &Node, port: u16) -> Transfer {
    Transfer::start(&from.machine, &to.machine, (address(to), port).into()).unwrap()
}

/// Waits until each of these has gone on.
fn go_on(streams: &[&Transfer]) {
    let before: Vec<_> = streams.iter().map(|stream| stream.carried()).collect();
    eventually("streams that go on", || {
        let mut both = streams.iter().zip(&before);
        both.all(|(stream, before)| stream.carried() > before + SOME).then_some(())
    });
}

/// Waits until a laptop reaches home without the relay.
fn go_directly(laptop: &Node) {
    eventually("a direct path", || {
        laptop.peer("server")["path"].as_str()?.starts_with("direct ").then_some(())
    });
}

#[test]
#[ignore = "needs: root"]
fn a_device_removed_under_full_load_is_cut_and_the_others_go_on() {
    let (plane, home, [laptop, tablet]) = network(["laptop", "tablet"]);
    let cut = [stream(&laptop, &home, 0), stream(&home, &laptop, 0)];
    let other = stream(&tablet, &home, 0);
    go_directly(&laptop);
    go_directly(&tablet);
    go_on(&[&cut[0], &cut[1], &other]);
    let id = plane.device("laptop")["id"].clone();
    // It does not hear of it: the others cut it.
    plane.topology.lose(&laptop.machine, COORDINATOR).unwrap();

    plane.ask("DELETE", &format!("/devices/{id}"), None);

    let carried = eventually("streams that stand still", || {
        let before = cut.each_ref().map(Transfer::carried);
        thread::sleep(A_LOOK);
        (cut.each_ref().map(Transfer::carried) == before).then_some(before)
    });
    go_on(&[&other]);
    assert_eq!(cut.each_ref().map(Transfer::carried), carried, "it still sends or gets something");
    other.finish(MANY).unwrap();
}

#[test]
#[ignore = "needs: root"]
fn what_the_policy_refuses_holds_up_nobody_else_and_is_counted() {
    const ENOUGH: u64 = 10_000;
    let (plane, home, [laptop, tablet]) = network(["laptop", "tablet"]);
    let policy = format!(r#"{{"acls":[{{"action":"accept","src":["*"],"dst":["*:{ALLOWED}"]}}]}}"#);
    plane.ask("PUT", "/policy", Some(json!({ "policy": policy })));
    let refused = || home.status()["drops"]["no_rule"].as_u64().unwrap();
    let to = address(&home);
    let socket = laptop.machine.in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    eventually("the policy", || {
        socket.send_to(b"refused", (to, ALLOWED + 1)).unwrap();
        (refused() > 0).then_some(())
    });
    let _flood = Flood::start(socket, (to, ALLOWED + 1).into());
    let go_on_being_refused = || {
        let before = refused();
        eventually("a flood", || refused() > before + ENOUGH);
    };
    go_on_being_refused();
    let allowed = stream(&tablet, &home, ALLOWED);
    go_on(&[&allowed]);
    go_on_being_refused();
    allowed.finish(MANY).unwrap();
    go_on_being_refused();
}

#[test]
#[ignore = "needs: root"]
fn the_status_names_the_offloads_that_the_settings_allow_and_the_kernel_has() {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap());
    let linux = (numbers.next().unwrap(), numbers.next().unwrap());
    // The others are in every kernel since 5.0.
    let has = |name: &&str| *name != "uso" || linux >= (6, 2);
    let all: Vec<_> = OFFLOADS.into_iter().filter(has).collect();
    let root = control_plane::root();
    let machine = Arc::new(Machine::new("offload").unwrap());
    let instance = Instance::new(&machine, root.path()).unwrap();
    for (settings, expected) in [
        ("", all.clone()),
        ("offload = \"auto\"\n", all),
        ("offload = \"off\"\n", vec![]),
        ("offload = [\"tso6\", \"udp_gro\"]\n", vec!["tso6", "udp_gro"]),
    ] {
        control_plane::write(root.path(), "etc/maru/agent.toml", settings);
        let mut agent = instance.agent().unwrap();
        let status = instance.status().unwrap();
        assert_eq!(status["offload"], json!(expected), "{settings}");
        assert_eq!(status["drops"]["interface"], 0, "there is a tunnel");
        agent.stop(STOP).unwrap();
    }
}

/// Datagrams as fast as they can be sent, until it is dropped.
struct Flood(Arc<AtomicBool>);

impl Flood {
    fn start(socket: UdpSocket, to: SocketAddr) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                // A full queue is no reason to wait.
                let _ = socket.send_to(b"refused", to);
            }
        });
        Self(is_over)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Streams both ways that are at full speed.
fn load([home, laptop]: &[Node; 2]) -> [Transfer; 2] {
    let streams = [stream(laptop, home, 0), stream(home, laptop, 0)];
    go_directly(laptop);
    go_on(&[&streams[0], &streams[1]]);
    streams
}

#[test]
#[ignore = "needs: root"]
fn an_agent_under_full_load_ends_when_it_is_asked_to_and_starts_again_after_any_end() {
    let (_plane, home, [laptop]) = network(["laptop"]);
    let mut nodes = [home, laptop];
    for at in 0..nodes.len() {
        let streams = load(&nodes);
        let node = &mut nodes[at];
        // With status 0.
        node.stop_within(Duration::from_secs(5));
        drop(streams);
        let left = node.machine.sh("ip -o link; nft list tables").unwrap();
        assert!(!left.contains("maru"), "left behind: {left}");
        node.run();
        node.wait_for_state("running");

        let streams = load(&nodes);
        let node = &mut nodes[at];
        let mut agent = node.agent.take().unwrap();
        agent.signal_kill();
        agent.wait_for(STOP).unwrap().expect("a killed process ends");
        drop(streams);
        node.run();
        node.wait_for_state("running");
        for stream in load(&nodes) {
            stream.finish(0).unwrap();
        }
    }
}

/// A router's agent looks at every connection that the kernel follows, and members choose how many those are.
#[test]
#[ignore = "needs: root"]
fn a_router_starts_with_as_much_memory_however_many_connections_its_kernel_follows() {
    /// More than this per connection would be all of them at once.
    const MANY: u16 = 60_000;
    const ALLOWED_KIB: u64 = 32 << 10;
    let plane = ControlPlane::new();
    let _printer = routes::printer(&plane.topology.home);
    let mut home = routes::router(&plane);
    let peak_kib = |home: &Node| -> u64 {
        let pid = home.agent.as_ref().unwrap().pid();
        let peak = lab::inside::status_field(pid, "VmHWM").unwrap();
        peak.trim_end_matches(" kB").parse().unwrap()
    };
    home.stop();
    home.run();
    home.wait_for_state("running");
    let before = peak_kib(&home);
    let followed = || -> u32 {
        let count = "cat /proc/sys/net/netfilter/nf_conntrack_count";
        home.machine.sh(count).unwrap().trim().parse().unwrap()
    };
    for _ in 0..2 {
        let socket = home.machine.in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        (1..=MANY).for_each(|port| {
            let _ = socket.send_to(b"knock", ("192.168.9.2", port));
        });
    }
    assert!(followed() > u32::from(MANY), "{}", followed());
    home.stop();
    home.run();
    home.wait_for_state("running");
    let after = peak_kib(&home);
    assert!(after < before + ALLOWED_KIB, "{before} and {after} KiB");
}
