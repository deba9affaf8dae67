//! What stock Tailscale nodes find in their maps: what apps need, and nothing that is not theirs.
//!
//! Fails if a node is not told to keep its map, or shows a peer more than peers need, if it sends files before the policy
//! lets it, or does not send them then, or if it does not reach its peer after a start without the coordinator.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]

#[path = "support/echo.rs"]
mod echo;
#[path = "support/network.rs"]
mod network;

use lab::{BIN, stock::Stock};
use serde_json::{Value, json};

use network::{ECHO, Network, join_by_approval, set_policy};

/// As [`ECHO`], with files among one person's devices.
const FILES: &str = r#"{
  "tagOwners": { "tag:home": [], "tag:printer": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member"],
             "dst": ["autogroup:member:7777", "tag:printer:7777", "tag:home:80,7777"] }],
  "nodeAttrs": [{ "target": ["autogroup:member"], "attr": ["https://tailscale.com/cap/file-sharing"] }],
}"#;

fn netmap(node: &Stock) -> Value {
    serde_json::from_str(&node.ok(&["debug", "netmap"]).unwrap()).unwrap()
}

#[test]
#[ignore = "needs: root, podman, model, go"]
fn stock_nodes_are_told_what_they_need_and_start_without_the_coordinator() {
    let mut network = Network::start();
    let desk = Stock::start(&network.sites[0].add("desk").unwrap()).unwrap();
    join_by_approval(&network.house, &desk, "bob", &[]);
    set_policy(&network.house, ECHO);
    let phone = &network.phone;
    phone.wait_for_peers(&["desk", "home", "laptop", "printer", "tablet"]).unwrap();

    let map = netmap(phone);
    let own = &map["SelfNode"]["CapMap"];
    assert_eq!(own["default-auto-update"], json!([false]), "{own}");
    for name in ["disable-captive-portal-detection", "cache-network-maps"] {
        assert!(own.get(name).is_some(), "{name} is missing: {own}");
    }
    for peer in map["Peers"].as_array().unwrap() {
        let name = &peer["ComputedName"];
        let is_stock = !["home", "laptop"].map(Value::from).contains(name);
        let services = peer["Hostinfo"]["Services"].as_array().cloned().unwrap_or_default();
        let has = |proto: &str| services.iter().any(|service| service["Proto"] == proto);
        assert_eq!(has("peerapi4"), is_stock, "{name}: {services:?}");
        let caps = peer["CapMap"].as_object().cloned().unwrap_or_default();
        assert!(caps.keys().all(|cap| cap.starts_with("maru/")), "{name}: {caps:?}");
        assert!(peer["Cap"].as_u64() > Some(0), "{name} has no capability version");
    }

    // Files go past the packet filter, so they go nowhere until the policy says so.
    phone.machine.sh("echo 'from the phone' > /run/stock/note.txt").unwrap();
    let send = ["file", "cp", "/run/stock/note.txt", "desk:"];
    assert!(!phone.run(&send).unwrap().status.success(), "a file was sent");
    set_policy(&network.house, FILES);
    let may = |status: &Value| {
        let caps = &status["Self"]["CapMap"];
        caps.get("https://tailscale.com/cap/file-sharing").is_some()
    };
    for node in [phone, &desk] {
        node.wait("the right to send files", may).unwrap();
    }
    phone.ok(&send).unwrap();
    desk.ok(&["file", "get", "--wait", "/run/stock"]).unwrap();
    assert_eq!(desk.machine.sh("cat /run/stock/note.txt").unwrap(), "from the phone\n");

    // It stays down however often it is started again.
    let tablet_at = network.tablet.address().unwrap();
    echo::serve(&network.tablet.machine);
    let program = format!("{BIN}/maru-coordinator");
    network.house.home.machine.sh(&format!("mount --bind /bin/false {program}")).unwrap();
    network.house.crash("maru-coordinator", "serve").unwrap();
    network.phone.restart().unwrap();
    echo::exchange(&network.phone.machine, tablet_at);
}
