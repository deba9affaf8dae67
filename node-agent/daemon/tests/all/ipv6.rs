//! Devices that have IPv6 only, and hosts that have none, on lab machines with the real coordinator and relay.
//!
//! Fails if: coordinator, relay or STUN serve IPv4 only; the relay map lacks the IPv6 address; a connection does not move from
//! one family to the other; a program needs IPv6. Blind to: translators (NAT64).

use lab::topology::Topology;
use testkit::blocking::eventually;

use super::{
    change::{Connection, wait_for_path},
    control_plane::{ControlPlane, Node, echo, root},
    mesh::{LAPTOP, SERVICE, network_on},
};

/// Gives home and router IPv6 addresses, and every machine a name for home's two.
fn add_ipv6(topology: &Topology) {
    topology
        .home
        .sh("ip addr add fd77:1::2/64 dev eth0 nodad; ip route add default via fd77:1::1")
        .unwrap();
    topology
        .router
        .sh("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
            ip addr add fd77:1::1/64 dev home0 nodad; ip addr add fd77:2::1/64 dev lap2 nodad")
        .unwrap();
    for machine in [&topology.home, &topology.laptops[0]] {
        machine.sh("echo '10.77.1.2 home.test' >> /etc/hosts; echo 'fd77:1::2 home.test' >> /etc/hosts").unwrap();
    }
}

const TO_IPV6: &str = "ip addr flush dev eth0 scope global
    ip addr add fd77:2::2/64 dev eth0 nodad; ip -6 route replace default via fd77:2::1";
const TO_IPV4: &str = "ip addr flush dev eth0 scope global
    ip addr add 10.77.2.2/24 dev eth0; ip route add 10.77.1.2/32 via 10.77.2.1";

/// A home that is reached at `url`, and a laptop with IPv6 only that joins it.
fn house(url: &str) -> (ControlPlane, Node, Node) {
    let settings =
        format!("server_url = {url:?}\n[relay]\nhost = \"10.77.1.2\"\nipv6 = \"fd77:1::2\"\n");
    let plane = ControlPlane::with_settings(&["laptop"], root(), &settings);
    add_ipv6(&plane.topology);
    plane.open_policy();
    let home = Node::start(&plane.topology.home.clone(), SERVICE);
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let laptop = plane.topology.laptops[0].clone();
    laptop.sh(TO_IPV6).unwrap();
    let laptop = Node::start(&laptop, LAPTOP);
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    (plane, home, laptop)
}

#[test]
#[ignore = "needs: root"]
fn a_device_with_ipv6_only_joins_is_relayed_goes_direct_and_moves_to_ipv4_and_back() {
    let (plane, home, laptop) = house("http://home.test:8443");
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    let router = &plane.topology.router;
    router
        .sh("nft add table inet lose
            nft 'add chain inet lose through { type filter hook forward priority 0; }'
            nft add rule inet lose through meta l4proto udp drop")
        .unwrap();
    let mut connection = Connection::open(&home, &laptop);
    wait_for_path(&laptop, "relay");
    router.sh("nft delete table inet lose").unwrap();
    wait_for_path(&laptop, "direct [fd77:1::2]:");
    connection.carries("going direct");

    for (change, path) in [(TO_IPV4, "direct 10.77.1.2:"), (TO_IPV6, "direct [fd77:1::2]:")] {
        laptop.machine.sh(change).unwrap();
        connection.carries(change);
        eventually("the coordinator again", || {
            (laptop.status()["coordinator"]["connected"] == true).then_some(())
        });
        wait_for_path(&laptop, path);
    }
}

#[test]
#[ignore = "needs: root"]
fn an_invitation_may_name_an_ipv6_address() {
    let (_plane, home, laptop) = house("http://[fd77:1::2]:8443");
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    Connection::open(&home, &laptop).carries("joining");
}

/// Relayed, direct, and by relay again: every socket of agent, coordinator and relay is used.
fn works_without_ipv6(topology: Topology) {
    let network = network_on(topology);
    let (home, laptop) = (&network.home, &network.laptop);
    let router = network.plane.topology.router.clone();
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    let mut connection = Connection::open(home, laptop);
    wait_for_path(laptop, "direct 10.77.1.2:");
    connection.carries("going direct");
    router
        .sh("nft add table inet lose
            nft 'add chain inet lose through { type filter hook forward priority 0; }'
            nft add rule inet lose through meta l4proto udp drop")
        .unwrap();
    connection.carries("losing UDP");
    wait_for_path(laptop, "relay");
    for node in [home, laptop] {
        let status = node.status();
        assert_eq!(status["state"], "running");
        assert!(status["problem"].is_null(), "{status}");
        assert!(node.machine.sh("ip -6 addr show").unwrap().is_empty());
    }
    assert_eq!(laptop.resolve("server.maru.home.arpa").unwrap().0, 0, "its resolver answers");
}

#[test]
#[ignore = "needs: root"]
fn a_host_whose_admin_switched_ipv6_off_works_as_any() {
    let topology = Topology::new(&["laptop"]).unwrap();
    for machine in [&topology.home, &topology.laptops[0]] {
        let off =
            "cd /proc/sys/net/ipv6/conf; echo 1 > all/disable_ipv6; echo 1 > default/disable_ipv6";
        machine.sh(off).unwrap();
    }
    works_without_ipv6(topology);
}

#[test]
#[ignore = "needs: root"]
fn a_host_whose_kernel_has_no_ipv6_works_as_any() {
    let topology = Topology::new(&["laptop"]).unwrap();
    for machine in [&topology.home, &topology.laptops[0]] {
        machine.lose_ipv6().unwrap();
        let socket = machine.sh("exec 3<>/dev/udp/::1/9").unwrap_err().to_string();
        assert!(socket.contains("Address family not supported"), "{socket}");
    }
    works_without_ipv6(topology);
}
