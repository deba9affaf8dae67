//! What stock Tailscale nodes find in their maps: what apps need, and nothing that is not theirs.
//!
//! Fails if a node is not told to keep its map, or shows a peer more than peers need, if it sends files before the policy
//! lets it, or does not send them then, or if it does not reach its peer after a start without the coordinator. Fails if
//! our agent goes on with a peer whose key ends while there is no coordinator to say so.

use std::time::{Duration, Instant};

use lab::{BIN, Member, stock::StockNode};
use serde_json::{Value, json};

use super::support::{
    echo,
    network::{ECHO, Network, join_by_approval, join_with_our_agent, set_policy},
};

/// Keys of people's devices last for 180 days.
const LATER: i64 = 200 * 86_400;

/// As [`ECHO`], with files among one person's devices; printers reach them too.
const FILES: &str = r#"{
  "tagOwners": { "tag:home": [], "tag:printer": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member", "tag:printer"],
             "dst": ["autogroup:member:7777", "tag:printer:7777", "tag:home:80,7777"] }],
  "nodeAttrs": [{ "target": ["autogroup:member"], "attr": ["https://tailscale.com/cap/file-sharing"] }],
}"#;

fn netmap(node: &StockNode) -> Value {
    serde_json::from_str(&node.ok(&["debug", "netmap"]).unwrap()).unwrap()
}

/// A printer with our agent, whose own clock is past the end of all keys that end.
fn printer_ahead(network: &mut Network) -> Member {
    let printer = network.house.stranger_ahead("plotter", LATER).unwrap();
    network.authority.tell(&printer.instance.machine);
    join_with_our_agent(&network.house, &printer, &network.authority);
    network.house.home.ok(&["device", "tag", "plotter", "tag:printer"]).unwrap();
    printer
}

#[test]
#[ignore = "needs: root, podman, model, go"]
fn stock_nodes_are_told_what_they_need_and_start_without_the_coordinator() {
    let mut network = Network::start();
    let desk = network.beside_the_phone("desk");
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

    // By the coordinator's clock, whatever a machine's clock says, no key has ended.
    let plotter = printer_ahead(&mut network);
    let [tablet_at, printer_at] =
        [&network.tablet, &network.printer].map(|node| node.address().unwrap());
    echo::serve(&network.tablet.machine);
    echo::serve(&network.printer.machine);
    network.house.home.ok(&["device", "extend", "tablet", "--expires", "30s"]).unwrap();
    echo::exchange(&plotter.instance.machine, tablet_at);

    // It stays down however often it is started again.
    let program = format!("{BIN}/maru-coordinator");
    network.house.home.machine.sh(&format!("mount --bind /bin/false {program}")).unwrap();
    network.house.crash("maru-coordinator", "serve").unwrap();
    echo::exchange(&plotter.instance.machine, tablet_at);
    let begun = Instant::now();
    while echo::reaches(&plotter.instance.machine, tablet_at) {
        assert!(begun.elapsed() < Duration::from_secs(60), "a peer whose key has ended is no peer");
    }
    echo::exchange(&plotter.instance.machine, printer_at);
    network.phone.restart().unwrap();
    echo::exchange(&network.phone.machine, printer_at);
}
