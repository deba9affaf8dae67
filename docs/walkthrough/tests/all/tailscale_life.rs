//! Stock Tailscale nodes go on: after restarts, logging out and in, expiry and another name, until somebody takes them
//! away.
//!
//! Fails if an exchange does not go on after the coordinator or a daemon has started again, if a node that comes back is
//! another one than before or has another address, or if a peer that the policy or the admin takes away stays
//! there.

use std::time::Duration;

use lab::stock::StockNode;
use serde_json::Value;
use testkit::blocking::eventually_within;

use super::support::{
    echo,
    network::{ECHO, Network, device, join_by_approval, set_policy},
};

/// Printers are for nobody.
const NO_PRINTERS: &str = r#"{
  "tagOwners": { "tag:home": [], "tag:printer": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member"],
             "dst": ["autogroup:member:7777", "tag:home:80,7777"] }],
}"#;
/// By when a peer that was taken away is gone.
const GONE: Duration = Duration::from_secs(30);

/// What of a device must stay as it is, whatever happens to it.
fn identity(network: &Network, name: &str) -> [Value; 4] {
    let device = device(&network.house, name);
    ["id", "stable_id", "addresses", "user"].map(|key| device[key].clone())
}

/// Takes a peer away by `act`, and requires that a node loses it in time, and does not reach it.
fn loses(node: &StockNode, peer: &str, act: impl FnOnce()) {
    let find = || node.peer(peer).unwrap();
    let address = find().expect("it is a peer")["TailscaleIPs"][0].as_str().unwrap().to_owned();
    act();
    eventually_within(GONE, &format!("{} loses {peer}", node.machine.name()), || find().is_none());
    assert!(!echo::reaches(&node.machine, address.parse().unwrap()), "{peer} is reached");
}

/// Waits until the coordinator knows that all of these are connected.
fn are_online(network: &Network, names: &[&str]) {
    let limit = Duration::from_secs(120);
    let online = |text: &str| {
        let devices: Vec<Value> = serde_json::from_str(text).ok()?;
        let is_online = |name: &&str| {
            devices.iter().any(|device| device["name"] == **name && device["online"] == true)
        };
        names.iter().all(is_online).then_some(())
    };
    network.house.home.wait_until(&["device", "list", "-o", "json"], limit, online).unwrap();
}

#[test]
#[ignore = "needs: root, podman, model, go"]
fn stock_nodes_go_on_after_restarts_and_stay_who_they_were() {
    let mut network = Network::start();
    set_policy(&network.house, ECHO);
    let (phone, tablet) = (&network.phone, &network.tablet);
    for node in [phone, tablet, &network.printer] {
        echo::serve(&node.machine);
    }
    let before = ["phone", "printer", "tablet"].map(|name| identity(&network, name));
    let [phone_at, tablet_at] = [phone, tablet].map(|node| node.address().unwrap());
    echo::exchange(&phone.machine, tablet_at);

    network.house.crash("maru-coordinator", "serve").unwrap();
    echo::exchange(&phone.machine, tablet_at);
    echo::exchange(&tablet.machine, phone_at);
    are_online(&network, &["phone", "printer", "tablet", "laptop"]);

    network.phone.restart().unwrap();
    let (phone, tablet, printer) = (&network.phone, &network.tablet, &network.printer);
    phone.wait_for_peers(&["home", "laptop", "printer", "tablet"]).unwrap();
    echo::exchange(&phone.machine, tablet_at);
    echo::exchange(&tablet.machine, phone_at);

    // Who logs out is nobody's peer, and the same node once it is back.
    let server = network.house.server_url().unwrap();
    for (node, owner) in [(phone, ["--user", "bob"]), (printer, ["--tag", "tag:printer"])] {
        loses(tablet, node.machine.name(), || drop(node.ok(&["logout"]).unwrap()));
        node.join(&server, &network.house.key(&owner).unwrap(), &[]).unwrap();
    }
    phone.wait_for_peers(&["home", "laptop", "printer", "tablet"]).unwrap();

    // Nor is one whose key has expired; it asks again by itself.
    let admin = |args: &[&str]| drop(network.house.home.ok(args).unwrap());
    loses(phone, "tablet", || admin(&["device", "expire", "tablet"]));
    tablet.wait("having to log in", |status| status["BackendState"] == "NeedsLogin").unwrap();
    join_by_approval(&network.house, tablet, "carol", &["--force-reauth"]);
    phone.wait_for_peers(&["home", "laptop", "printer", "tablet"]).unwrap();

    assert_eq!(["phone", "printer", "tablet"].map(|name| identity(&network, name)), before);
    assert_eq!([phone, tablet].map(|node| node.address().unwrap()), [phone_at, tablet_at]);
    echo::exchange(&phone.machine, tablet_at);
    echo::exchange(&tablet.machine, phone_at);

    admin(&["device", "rename", "tablet", "slate"]);
    phone.wait_for_peers(&["home", "laptop", "printer", "slate"]).unwrap();
    echo::exchange(&phone.machine, tablet_at);

    loses(phone, "printer", || set_policy(&network.house, NO_PRINTERS));
    loses(phone, "slate", || admin(&["device", "remove", "slate"]));
    assert!(!echo::reaches(&tablet.machine, phone_at), "a removed node reaches a peer");
    loses(phone, "laptop", || admin(&["device", "remove", "laptop"]));
}
