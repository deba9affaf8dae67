//! A house with our agent on a laptop, and stock nodes behind routers of their own.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;

use lab::{
    Deployment, Member, ROOT,
    site::{Nat, Site},
    stock::Stock,
};
use serde_json::Value;

/// Members reach each other, the home machine and printers at the echo's port; nobody reaches anything else.
pub(crate) const ECHO: &str = r#"{
  "tagOwners": { "tag:home": [], "tag:printer": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member"],
             "dst": ["autogroup:member:7777", "tag:printer:7777", "tag:home:80,7777"] }],
}"#;

/// The machines, all of them nodes.
#[derive(Debug)]
pub(crate) struct Network {
    /// Behind the first router, which keeps ports: of bob, joined by key.
    pub(crate) phone: Stock,
    /// Beside it: of nobody, tagged `tag:printer`, joined by key.
    pub(crate) printer: Stock,
    /// Behind the second router, which does not: of carol, approved.
    pub(crate) tablet: Stock,
    /// With our agent, of alice.
    pub(crate) laptop: Member,
    /// The two routers.
    pub(crate) sites: [Site; 2],
    /// Where `maru up` runs.
    pub(crate) house: Deployment,
}

impl Network {
    /// Starts everything, and has everyone join.
    pub(crate) fn start() -> Self {
        let mut house = Deployment::start().unwrap();
        let laptop = house.member("laptop", "alice").unwrap();
        let mut first = house.topology.site(Nat::Masquerade).unwrap();
        let mut second = house.topology.site(Nat::FullyRandom).unwrap();
        let [phone, printer] =
            ["phone", "printer"].map(|name| Stock::start(&first.add(name).unwrap()).unwrap());
        let tablet = Stock::start(&second.add("tablet").unwrap()).unwrap();
        for person in ["bob", "carol"] {
            house.home.ok(&["user", "create", person]).unwrap();
        }
        let server = house.server_url().unwrap();
        phone.join(&server, &house.key(&["--user", "bob"]).unwrap(), &[]).unwrap();
        printer.join(&server, &house.key(&["--tag", "tag:printer"]).unwrap(), &[]).unwrap();
        join_by_approval(&house, &tablet, "carol", &[]);
        Self { phone, printer, tablet, laptop, sites: [first, second], house }
    }
}

/// Has a node ask to join, and approves it as this person's; `more` is for `tailscale up`.
pub(crate) fn join_by_approval(house: &Deployment, node: &Stock, person: &str, more: &[&str]) {
    let mut asking = node.ask_to_join(&house.server_url().unwrap(), more).unwrap();
    approve(house, node.machine.name(), person);
    let status = asking.wait_for(lab::STOP).unwrap();
    assert!(status.is_some_and(|status| status.success()), "`tailscale up` ended: {status:?}");
}

/// Approves the device that waits under this name as this person's.
fn approve(house: &Deployment, hostname: &str, person: &str) {
    let devices = house.home.ok(&["device", "list", "-o", "json"]).unwrap();
    let devices: Vec<Value> = serde_json::from_str(&devices).unwrap();
    let is_it = |device: &&Value| device["state"] == "pending" && device["hostname"] == hostname;
    let id = devices.iter().find(is_it).expect("it waits")["id"].to_string();
    house.home.ok(&["device", "approve", &id, "--user", person]).unwrap();
}

/// What `maru device list` says of a node.
pub(crate) fn device(house: &Deployment, name: &str) -> Value {
    let devices = house.home.ok(&["device", "list", "-o", "json"]).unwrap();
    let devices: Vec<Value> = serde_json::from_str(&devices).unwrap();
    devices.into_iter().find(|device| device["name"] == name).expect("there is such a device")
}

/// Puts a policy in force.
pub(crate) fn set_policy(house: &Deployment, text: &str) {
    fs::write(house.home.root.join("policy.json"), text).unwrap();
    house.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();
}
