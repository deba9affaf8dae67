//! Two devices that moved while the coordinator was away, on lab machines.
//!
//! Fails if: they do not find each other by the relay; a device registers again, or under another key, once the coordinator is
//! back. Blind to: what the coordinator itself remembers.

use std::time::Duration;

use testkit::blocking::eventually;

use super::{
    change::Connection,
    control_plane::{ControlPlane, Node, echo},
    mesh::{LAPTOP, SERVICE},
};

fn registrations(node: &Node) -> usize {
    node.log().lines().filter(|line| line.ends_with(" registered")).count()
}

#[test]
#[ignore = "needs: root"]
fn two_devices_that_moved_find_each_other_without_the_coordinator() {
    let mut plane = ControlPlane::with_laptops(&["server", "laptop"]);
    plane.open_policy();
    let [server, laptop] = [0, 1].map(|at| plane.topology.laptops[at].clone());
    let mut nodes = [(&server, SERVICE), (&laptop, LAPTOP)].map(|(machine, settings)| {
        let node = Node::start(machine, settings);
        node.join(&plane.invite("mina", true));
        node.wait_for_state("running");
        node
    });
    let _callers = echo(&nodes[0].root.path().join("run/maru/echo/http.sock"));
    Connection::open(&nodes[0], &nodes[1]).carries("joining");
    for (node, peer) in [(&nodes[0], "laptop"), (&nodes[1], "server")] {
        let id = node.peer(peer)["stable_id"].as_str().unwrap().to_owned();
        eventually("the peer in the map on disk", || {
            node.stored("netmap.json")?.contains(&id).then_some(())
        });
    }
    let keys =
        |nodes: &[Node; 2]| nodes.each_ref().map(|node| node.status()["node"]["node_key"].clone());
    let (known, devices) = (keys(&nodes), plane.ask("GET", "/devices", None));
    assert_eq!(nodes.each_ref().map(registrations), [1, 1]);

    plane.serve.take().unwrap().stop(Duration::from_secs(60)).unwrap();
    nodes.iter_mut().for_each(Node::stop);
    for (machine, net) in [(&server, 2), (&laptop, 3)] {
        machine
            .sh(&format!(
                "ip addr flush dev eth0; ip addr add 10.77.{net}.9/24 dev eth0
                ip route add 10.77.1.2/32 via 10.77.{net}.1"
            ))
            .unwrap();
    }
    nodes.iter_mut().for_each(Node::run);
    Connection::open(&nodes[0], &nodes[1]).carries("a restart in other networks");

    plane.serve();
    for node in &nodes {
        eventually("the coordinator again", || {
            (node.status()["coordinator"]["connected"] == true).then_some(())
        });
    }
    assert_eq!(keys(&nodes), known);
    assert_eq!(nodes.each_ref().map(registrations), [1, 1]);
    let ids = |devices: serde_json::Value| {
        let devices = devices.as_array().unwrap().clone();
        devices.into_iter().map(|device| device["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(plane.ask("GET", "/devices", None)), ids(devices));
}
