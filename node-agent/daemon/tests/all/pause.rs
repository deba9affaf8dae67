//! Pause and resume, whois and ping, on lab machines with the real coordinator and relay.
//!
//! Fails if: a paused node leaves an interface, route, table or name behind, comes back by a restart, or loses its membership;
//! a ping gets no answer or names a wrong path; a name finds another node.

use testkit::blocking::eventually;

use super::{
    control_plane::{self, Node},
    mesh::network,
};

fn ask(node: &Node, method: &str, path: &str) -> (u16, serde_json::Value) {
    control_plane::ask(&node.socket(), method, path, None)
}

#[test]
#[ignore = "needs: root"]
fn a_paused_node_leaves_nothing_on_the_machine_and_stays_a_member() {
    let mut network = network();
    let laptop = &mut network.laptop;
    let before = laptop.status();
    let server = laptop.peer("server")["stable_id"].clone();
    // The addresses, routes, tables and resolver of the machine.
    let ours = |machine: &lab::Machine| {
        machine
            .sh("ip -o link | grep -c maru || true
                ip route show table all | grep -c -e 100.64 -e maru || true
                nft list tables | grep -c maru || true
                grep -c 100.100.100.100 /etc/resolv.conf || true")
            .unwrap()
    };
    assert_ne!(ours(&laptop.machine), "0\n0\n0\n0\n", "a running node has something to leave");

    let (status, paused) = ask(laptop, "POST", "/v1/pause");
    assert_eq!((status, &paused["state"]), (200, &"paused".into()));
    assert_eq!(ours(&laptop.machine), "0\n0\n0\n0\n");
    assert_eq!(paused["node"], before["node"], "it stays a member");
    assert_eq!(paused["coordinator"]["connected"], false);
    let (status, problem) = ask(laptop, "POST", "/v1/ping/server");
    assert_eq!((status, &problem["type"]), (409, &"urn:maru:problem:not-a-node".into()));
    assert_eq!(ask(laptop, "GET", "/v1/whois/server").1["stable_id"], server);

    laptop.stop();
    laptop.run();
    assert_eq!(laptop.status()["state"], "paused", "after a restart, too");
    assert_eq!(ours(&laptop.machine), "0\n0\n0\n0\n");
    network.home.peer("laptop");

    let (status, _) = ask(laptop, "POST", "/v1/resume");
    assert_eq!(status, 200);
    let after = laptop.wait_for_state("running");
    assert_eq!(after["node"], before["node"], "the same key");
    let pong = eventually("an answer to a ping", || {
        let (status, pong) = ask(laptop, "POST", "/v1/ping/server");
        (status == 200).then_some(pong)
    });
    assert_eq!(pong["name"], "server");
}

#[test]
#[ignore = "needs: root"]
fn a_ping_tells_the_path_and_a_name_finds_its_node() {
    let network = network();
    let laptop = &network.laptop;
    let direct = eventually("a direct answer", || {
        let (status, pong) = ask(laptop, "POST", "/v1/ping/server");
        let is_direct = pong["path"].as_str().is_some_and(|path| path.starts_with("direct "));
        (status == 200 && is_direct).then_some(pong)
    });
    assert!(direct["latency_us"].as_u64().unwrap() > 0, "{direct}");
    assert_eq!(direct["relay"], serde_json::Value::Null);
    let home = network.home.address();
    let id = laptop.peer("server")["stable_id"].as_str().unwrap().to_owned();
    for name in ["server", &id, &home, "SERVER.maru.home.arpa."] {
        let (status, whois) = ask(laptop, "GET", &format!("/v1/whois/{name}"));
        assert_eq!(
            (status, &whois["stable_id"], &whois["user"]),
            (200, &id.as_str().into(), &"mina".into())
        );
    }
    assert_eq!(ask(laptop, "GET", "/v1/whois/laptop").1["this_node"], true);
    for (method, path, expected) in [
        ("GET", "/v1/whois/nobody", "node-unknown"),
        ("POST", "/v1/ping/nobody", "node-unknown"),
        ("POST", "/v1/ping/laptop", "node-self"),
    ] {
        let (_, problem) = ask(laptop, method, path);
        assert_eq!(problem["type"], format!("urn:maru:problem:{expected}"), "{path}");
    }
}
