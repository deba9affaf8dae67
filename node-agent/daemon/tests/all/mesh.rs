//! An agent's life in a network, on lab machines with the real coordinator and relay.
//!
//! Fails if: a device that is not approved gets anything; a service learns a wrong caller;
//! a restart without the coordinator loses peers, filter or names; a removed device keeps a
//! connection; leaving leaves anything behind; a node is said to run before packets find their way. Blind to: real NATs, IPv6 underlays, packet loss.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use lab::topology::Topology;
use testkit::blocking::eventually;

use super::control_plane::{self, ControlPlane, Node, echo};

pub(crate) const SERVICE: &str = "hostname = \"server\"\n\
    [[service]]\nname = \"echo\"\nport = 80\nsocket = \"run/maru/echo/http.sock\"\n";
pub(crate) const LAPTOP: &str = "hostname = \"laptop\"\n";

pub(crate) struct Network {
    pub(crate) plane: ControlPlane,
    pub(crate) home: Node,
    pub(crate) laptop: Node,
}

/// Home and an approved laptop; everyone may reach everything.
pub(crate) fn network() -> Network {
    network_on(Topology::new(&["laptop"]).unwrap())
}

/// The same on these machines.
pub(crate) fn network_on(topology: Topology) -> Network {
    let plane = ControlPlane::on(topology);
    plane.open_policy();
    let home = Node::start(&plane.topology.home.clone(), SERVICE);
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let laptop = Node::start(&plane.topology.laptops[0].clone(), LAPTOP);
    laptop.join(&plane.invite("juno", false));
    laptop.wait_for_state("waiting_for_approval");
    let id = plane.device("laptop")["id"].clone();
    plane.ask("POST", &format!("/devices/{id}/approve"), Some(serde_json::json!({})));
    laptop.wait_for_state("running");
    Network { plane, home, laptop }
}

#[test]
#[ignore = "needs: root"]
fn an_unapproved_device_has_nothing_and_an_approved_one_is_named_to_services() {
    let plane = ControlPlane::new();
    plane.open_policy();
    let home = Node::start(&plane.topology.home.clone(), SERVICE);
    let callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let service = format!("{}:80", home.address());
    let laptop = Node::start(&plane.topology.laptops[0].clone(), LAPTOP);
    laptop.join(&plane.invite("juno", false));

    let waiting = laptop.wait_for_state("waiting_for_approval");
    assert_eq!((&waiting["node"], &waiting["peers"]), (&().into(), &serde_json::json!([])));
    assert!(waiting["auth_url"].as_str().unwrap().starts_with("http://10.77.1.2:8443/"));
    assert!(laptop.connect(&service).is_err());

    let id = plane.device("laptop")["id"].clone();
    plane.ask("POST", &format!("/devices/{id}/approve"), Some(serde_json::json!({})));
    let status = laptop.wait_for_state("running");
    laptop.peer("server");
    let back = eventually("an answer of the service", || {
        laptop.hello(&service).filter(|back| !back.is_empty())
    });

    assert_eq!(back, "hello");
    let header = callers.try_recv().unwrap();
    assert_eq!(header.identity.node, status["node"]["stable_id"].as_str().unwrap());
    assert_eq!(header.identity.user.unwrap().login, "juno");
    assert_eq!(header.identity.service, "echo");
    assert_eq!(header.source.ip().to_string(), laptop.address());
    // This node itself is nobody, though the kernel lets it connect.
    assert_eq!(home.hello(&service).filter(|back| !back.is_empty()), None);
    eventually("a direct path", || {
        let path = laptop.peer("server")["path"].as_str()?.to_owned();
        path.starts_with("direct ").then_some(())
    });
}

/// The firewall comes before the addresses: while nft is held, there are none.
#[test]
#[ignore = "needs: root"]
fn a_node_runs_only_once_the_interface_has_its_address_and_route() {
    let plane = ControlPlane::new();
    let laptop = Node::start(&plane.topology.laptops[0].clone(), LAPTOP);
    laptop.machine.sh("touch /run/hold").unwrap();
    laptop.replace_nft("while [ -e /run/hold ]; do sleep 0.1; done; exec /run/nft \"$@\"");
    let ways = || laptop.machine.sh("ip -o -4 address; ip -4 route").unwrap();

    laptop.join(&plane.invite("juno", true));
    let status = eventually("the map", || {
        let status = laptop.status();
        (status["node"].is_object() && status["coordinator"]["connected"] == true).then_some(status)
    });
    let address = laptop.address();
    assert_eq!(status["state"], "joining");
    let before = ways();

    laptop.machine.sh("rm /run/hold").unwrap();
    laptop.wait_for_state("running");
    let after = ways();

    for way in [format!("inet {address}/32"), "100.64.0.0/10 dev".to_owned()] {
        assert!(after.contains(&way) && !before.contains(&way), "{way}: {before}\n{after}");
    }
}

#[test]
#[ignore = "needs: root"]
fn without_the_coordinator_an_agent_restarts_and_works() {
    let mut network = network();
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    let service = format!("{}:80", network.home.address());
    let before = network.laptop.status();
    eventually("an answer before", || {
        network.laptop.hello(&service).filter(|back| back == "hello")
    });
    eventually("the laptop among the home's peers", || {
        network.home.status()["peers"].as_array()?.first().cloned()
    });
    for (node, peer) in [(&network.home, "laptop"), (&network.laptop, "server")] {
        let id = node.peer(peer)["stable_id"].as_str().unwrap().to_owned();
        eventually("the peer in the map on disk", || {
            node.stored("netmap.json")?.contains(&id).then_some(())
        });
    }

    let mut serve = network.plane.serve.take().unwrap();
    serve.stop(Duration::from_secs(60)).unwrap();
    network.laptop.stop();
    network.laptop.run();

    eventually("an answer without the coordinator", || {
        network.laptop.hello(&service).filter(|back| back == "hello")
    });
    let home = (0, vec![network.home.address()]);
    assert_eq!(network.laptop.resolve("server.maru.home.arpa"), Some(home));
    let status = network.laptop.status();
    assert_eq!(status["state"], "running");
    assert_eq!(status["coordinator"]["connected"], false);
    assert_eq!(status["node"], before["node"]);

    network.home.stop();
    network.home.run();
    eventually("an answer after both restarted", || {
        network.laptop.hello(&service).filter(|back| back == "hello")
    });

    network.plane.serve();
    eventually("the coordinator again", || {
        (network.laptop.status()["coordinator"]["connected"] == true).then_some(())
    });
    assert_eq!(network.laptop.status()["node"], before["node"]);
}

#[test]
#[ignore = "needs: root"]
fn a_removed_device_is_cut_at_once() {
    let network = network();
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    let service = format!("{}:80", network.home.address());
    let mut live = eventually("a live connection", || {
        let mut stream = network.laptop.connect(&service).ok()?;
        stream.write_all(b"hello").ok()?;
        stream.read_exact(&mut [0; 5]).ok()?;
        Some(stream)
    });
    let id = network.plane.device("laptop")["id"].clone();

    network.plane.ask("DELETE", &format!("/devices/{id}"), None);

    // The tunnel is gone on both sides, so the laptop's kernel hears of no end: the home's does.
    eventually("the home agent's cut", || {
        network.home.log().contains("the node lost its access").then_some(())
    });
    live.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let _ = live.write_all(b"again");
    assert!(!matches!(live.read(&mut [0; 5]), Ok(5)));
    assert!(network.laptop.connect(&service).is_err());
    network.laptop.wait_for_state("waiting_for_approval");
}

#[test]
#[ignore = "needs: root"]
fn names_go_through_the_agent_and_back_when_it_stops() {
    let mut network = network();
    let machine = network.laptop.machine.clone();
    let conf = || machine.sh("cat /etc/resolv.conf").unwrap();
    eventually("resolv.conf", || conf().contains("nameserver 100.100.100.100"));
    assert!(conf().contains("search maru.home.arpa"));
    network.laptop.peer("server");
    let home = Some((0, vec![network.home.address()]));
    assert_eq!(network.laptop.resolve("server.maru.home.arpa"), home);
    assert_eq!(network.laptop.resolve("nobody.maru.home.arpa"), Some((3, vec![])));
    // There is no other resolver here: an honest failure, not silence.
    assert_eq!(network.laptop.resolve("example.org"), Some((2, vec![])));

    network.laptop.stop();
    assert_eq!(conf(), "");
    let left = machine.sh("ip -o link; nft list tables; ls -I maru-lab /run").unwrap();
    assert!(!left.contains("maru"), "left behind: {left}");
}

#[test]
#[ignore = "needs: root"]
fn leaving_logs_out_and_wipes() {
    let network = network();
    let key = network.laptop.status()["node"]["node_key"].clone();
    let (status, body) = control_plane::ask(&network.laptop.socket(), "POST", "/v1/leave", None);
    assert_eq!((status, &body["state"]), (200, &"needs_join".into()));
    let addresses = network.laptop.machine.sh("ip -o addr").unwrap();
    assert!(!addresses.contains("100.64."), "{addresses}");
    let state = network.laptop.root.path().join("var/lib/maru/agent");
    assert!(!state.join("netmap.json").exists());
    assert_eq!(network.plane.device("laptop")["state"], "expired");

    network.laptop.join(&network.plane.invite("juno", true));
    let again = network.laptop.wait_for_state("running");
    assert_ne!(again["node"]["node_key"], key);
}

#[test]
#[ignore = "needs: root"]
fn an_invitation_for_another_coordinator_is_refused() {
    let plane = ControlPlane::new();
    let laptop = Node::start(&plane.topology.laptops[0].clone(), LAPTOP);
    let url = plane.invite("juno", true);
    let (address, fragment) = url.split_once("#1.").unwrap();
    let other = format!("{address}#1.{}.{}", "ab".repeat(32), fragment.split_once('.').unwrap().1);

    laptop.join(&other);
    let status = eventually("the refusal", || {
        let status = laptop.status();
        (status["state"] == "needs_join").then_some(status)
    });

    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains("another coordinator"), "{problem}");
    assert_eq!(plane.ask("GET", "/devices", None), serde_json::json!([]));
}

#[test]
#[ignore = "needs: root"]
fn a_wrong_invitation_leaves_a_device_waiting_where_it_did() {
    let plane = ControlPlane::new();
    let mut laptop = Node::start(&plane.topology.laptops[0].clone(), LAPTOP);
    laptop.join(&plane.invite("juno", false));
    let waiting = laptop.wait_for_state("waiting_for_approval");
    let url = plane.invite("juno", true);
    let (address, key) = url.rsplit_once('.').unwrap();
    let coordinator = address.split_once('#').unwrap().0;
    // Another coordinator's key; no key of this one.
    let elsewhere = format!("{coordinator}#1.{}.{key}", "ab".repeat(32));
    for (wrong, said) in [
        (elsewhere, "another coordinator"),
        (format!("{address}.marukey-{}", "0".repeat(48)), "key"),
    ] {
        laptop.join(&wrong);
        let status = eventually("the way back", || {
            let status = laptop.status();
            let is_back = status["state"] == "waiting_for_approval";
            (is_back && !status["problem"].is_null()).then_some(status)
        });
        let problem = status["problem"].as_str().unwrap();
        assert!(
            problem.contains(said) && problem.contains("keeps its former membership"),
            "{problem}"
        );
        assert_eq!(status["coordinator"]["url"], waiting["coordinator"]["url"]);
    }

    laptop.stop();
    laptop.run();
    laptop.wait_for_state("waiting_for_approval");
    let id = plane.device("laptop")["id"].clone();
    plane.ask("POST", &format!("/devices/{id}/approve"), Some(serde_json::json!({})));
    assert_eq!(laptop.wait_for_state("running")["problem"], serde_json::Value::Null);
}

/// The router poses as the laptop: its mesh address, and a route to the home's past the tunnel. Returns what tries to
/// connect to the home's service from there.
fn impostor(network: &Network) -> impl Fn() -> bool + '_ {
    let (home, laptop) = (network.home.address(), network.laptop.address());
    let router = &network.plane.topology.router;
    // Not masqueraded.
    router
        .sh(&format!(
            "nft delete table ip nat; ip addr add {laptop}/32 dev lo; ip route add {home}/32 via 10.77.1.2 src {laptop}"
        ))
        .unwrap();
    let to = format!("{home}:80").parse().unwrap();
    move || {
        router.in_network(|| {
            std::net::TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_ok()
        })
    }
}

/// Counts on the home machine, with this `nft`, what comes from the laptop's mesh address, but not through the tunnel,
/// and is not dropped by the agent's table, which judges it before.
fn count_claims(network: &Network, nft: &str) {
    let laptop = network.laptop.address();
    let add = format!(
        "{nft} add table ip claims
        {nft} 'add chain ip claims arrived {{ type filter hook prerouting priority -150; }}'
        {nft} add rule ip claims arrived iifname != maru0 ip saddr {laptop} counter"
    );
    network.home.machine.sh(&add).unwrap();
}

fn claims_arrived(network: &Network, nft: &str) -> bool {
    let counted = network.home.machine.sh(&format!("{nft} list table ip claims")).unwrap();
    assert!(counted.contains("counter packets"), "{counted}");
    !counted.contains("counter packets 0 ")
}

/// From now on the router uses its own address, so that answers come back to it.
fn under_its_own_name(network: &Network) {
    let home = network.home.address();
    let router = &network.plane.topology.router;
    router.sh(&format!("ip route change {home}/32 via 10.77.1.2 src 10.77.1.1")).unwrap();
}

#[test]
#[ignore = "needs: root"]
fn packets_that_claim_a_mesh_source_and_come_from_elsewhere_are_dropped() {
    let network = network();
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    let connects = impostor(&network);
    count_claims(&network, "nft");
    assert!(!connects(), "as the laptop");
    assert!(!claims_arrived(&network, "nft"), "past the agent's table");
    // Nor under its own name: mesh addresses are not for the LAN at all.
    under_its_own_name(&network);
    assert!(!connects(), "as the router");
    let table = network.home.machine.sh("nft list ruleset").unwrap();
    let dropped = table.lines().any(|line| {
        line.contains("drop") && line.contains("packets") && !line.contains("packets 0")
    });
    assert!(dropped, "{table}");
    // Without the table it would have connected: the drop was the table's doing.
    network.home.machine.flush_nftables_for_good().unwrap();
    assert!(connects(), "the control run");
    // As the laptop no connection comes about even now, since the answers go into the tunnel; but the packets arrive.
    let (home, laptop) = (network.home.address(), network.laptop.address());
    let router = &network.plane.topology.router;
    router.sh(&format!("ip route change {home}/32 via 10.77.1.2 src {laptop}")).unwrap();
    count_claims(&network, "/run/nft");
    connects();
    assert!(claims_arrived(&network, "/run/nft"), "the control run, as the laptop");
}

#[test]
#[ignore = "needs: root"]
fn a_table_that_somebody_flushed_is_put_back() {
    const SAID: &str = "another program removed the nftables table";
    let network = network();
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    let connects = impostor(&network);
    under_its_own_name(&network);
    let machine = &network.home.machine;
    let rules = || machine.sh("nft -s list ruleset").unwrap();
    let before = rules();
    assert!(before.contains("counter drop") && !connects());

    // Everything; the rules alone.
    for (times, flush) in [(1, "nft flush ruleset"), (2, "nft flush $(nft list tables)")] {
        machine.sh(flush).unwrap();
        eventually("the table again", || rules() == before);
        assert!(!connects(), "after {flush}");
        eventually("a warning", || network.home.log().matches(SAID).count() == times);
    }
    machine.flush_nftables_for_good().unwrap();
    assert!(connects(), "the control run");
}

#[test]
#[ignore = "needs: root"]
fn the_network_around_does_not_ask_the_resolver() {
    let network = network();
    let router = &network.plane.topology.router;
    router.sh("ip route add 100.100.100.100/32 via 10.77.1.2").unwrap();
    let ask = || control_plane::resolve(router, "server.maru.home.arpa");

    assert!(network.home.resolve("server.maru.home.arpa").is_some());
    assert_eq!(ask(), None);
    // Without the table it would have been answered: the drop was the table's doing.
    network.home.machine.flush_nftables_for_good().unwrap();
    assert!(ask().is_some(), "the control run");
}
