//! Stock Tailscale nodes in our network: they join, reach whom the policy lets them reach, and go on.
//!
//! `tailscaled` and `tailscale` as people run them, each with a TUN, in machines behind routers of their own; our agent is
//! on a laptop and at home. Fails if a node sees another peer than those that the policy allows, if bytes or datagrams do
//! not come back in any pairing, if a path that can be direct is not, or if what they say of the network is not what our
//! coordinator says of it.

use std::net::Ipv4Addr;

use lab::stock::StockNode;
use serde_json::Value;

use super::support::{
    echo,
    network::{ECHO, Network, device, set_policy},
};

/// Whether two stock nodes know each other's path as one over the relay.
fn is_relayed(node: &StockNode, peer: &str) -> bool {
    let peer = node.peer(peer).unwrap().unwrap();
    peer["CurAddr"] == "" && peer["Relay"] == "home"
}

/// What the node's status and `whois` say of a peer is what the coordinator says.
fn agrees(network: &Network, node: &StockNode, name: &str) {
    let (device, peer) = (device(&network.house, name), node.peer(name).unwrap().unwrap());
    assert_eq!(peer["PublicKey"], device["node_key"], "{name}");
    assert_eq!(peer["ID"], device["stable_id"], "{name}");
    assert_eq!(peer["TailscaleIPs"], device["addresses"], "{name}");
    assert_eq!(peer["Online"], device["online"], "{name}");
    assert_eq!(peer["OS"], device["os"], "{name}");
    let tags = peer["Tags"].as_array().cloned().unwrap_or_default();
    assert_eq!(Value::from(tags), device["tags"], "{name}");
    let address = device["addresses"][0].as_str().unwrap();
    let whois: Value =
        serde_json::from_str(&node.ok(&["whois", "--json", address]).unwrap()).unwrap();
    let user = device["user"].as_str().unwrap_or("tagged-devices");
    assert_eq!(whois["UserProfile"]["LoginName"], user, "{name}");
    assert_eq!(whois["Node"]["StableID"], device["stable_id"], "{name}");
}

#[test]
#[ignore = "needs: root, podman, model, go"]
fn stock_nodes_join_and_every_pairing_exchanges_tcp_and_udp() {
    let network = Network::start();
    let Network { phone, tablet, printer, laptop, .. } = &network;
    let home: Ipv4Addr = laptop.instance.gateway().unwrap().to_string().parse().unwrap();
    // By the first policy members reach the home machine, and printers nobody.
    phone.wait_for_peers(&["home"]).unwrap();
    tablet.wait_for_peers(&["home"]).unwrap();
    printer.wait_for_peers(&[]).unwrap();

    set_policy(&network.house, ECHO);
    phone.wait_for_peers(&["home", "laptop", "printer", "tablet"]).unwrap();
    tablet.wait_for_peers(&["home", "laptop", "phone", "printer"]).unwrap();
    printer.wait_for_peers(&["laptop", "phone", "tablet"]).unwrap();
    for name in ["home", "laptop", "printer", "tablet"] {
        agrees(&network, phone, name);
    }

    let own: Ipv4Addr = laptop.instance.status().unwrap()["node"]["addresses"][0]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let [phone_at, tablet_at, printer_at] =
        [phone, tablet, printer].map(|node| node.address().unwrap());
    let home_machine = &network.house.home.machine;
    let laptop_machine = &laptop.instance.machine;
    for machine in [home_machine, laptop_machine, &phone.machine, &tablet.machine, &printer.machine]
    {
        echo::serve(machine);
    }
    for (from, to) in [
        (&phone.machine, [home, own, tablet_at, printer_at]),
        (&tablet.machine, [home, own, phone_at, printer_at]),
        (laptop_machine, [home, tablet_at, phone_at, printer_at]),
    ] {
        for address in to {
            echo::exchange(from, address);
        }
    }
    for to in [phone_at, home] {
        assert!(!echo::reaches(&printer.machine, to), "no rule lets a printer in at {to}");
    }

    // Both are behind one router.
    phone.wait_for_direct(printer_at).unwrap();
    // Between a router that keeps ports and one that does not there is the relay alone.
    assert!(is_relayed(phone, "tablet") && is_relayed(tablet, "phone"));
    let report: Value =
        serde_json::from_str(&phone.ok(&["netcheck", "--format=json"]).unwrap()).unwrap();
    assert_eq!((&report["UDP"], &report["PreferredDERP"]), (&true.into(), &1.into()), "{report}");
}
