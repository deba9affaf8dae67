//! A house with our agent on a laptop, and stock nodes behind routers of their own.

use std::fs;

use lab::{Deployment, Member, ROOT, nat::Nat, site::Site, stock::StockNode};
use serde_json::Value;

use super::authority;

pub(crate) use authority::Authority;

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
    pub(crate) phone: StockNode,
    /// Beside it: of nobody, tagged `tag:printer`, joined by key.
    pub(crate) printer: StockNode,
    /// Behind the second router, which does not: of carol, approved.
    pub(crate) tablet: StockNode,
    /// With our agent, of alice.
    pub(crate) laptop: Member,
    /// Behind the first router and the second.
    pub(crate) sites: [Site; 2],
    /// Whom everyone trusts: the coordinator speaks HTTPS.
    pub(crate) authority: Authority,
    /// Where `maru up` runs.
    pub(crate) house: Deployment,
}

impl Network {
    /// Starts everything, and has everyone join.
    pub(crate) fn start() -> Self {
        let mut house = Deployment::start().unwrap();
        let authority = Authority::serve(&house);
        let laptop = house.stranger("laptop").unwrap();
        authority.tell(&laptop.instance.machine);
        join_with_our_agent(&house, &laptop, &authority);
        let mut first = house.topology.site(Nat::PortRestricted).unwrap();
        let mut second = house.topology.site(Nat::Symmetric).unwrap();
        let [phone, printer] = ["phone", "printer"].map(|name| start(&authority, &mut first, name));
        let tablet = start(&authority, &mut second, "tablet");
        for person in ["bob", "carol"] {
            house.home.ok(&["user", "create", person]).unwrap();
        }
        let server = house.server_url().unwrap();
        phone.join(&server, &house.key(&["--user", "bob"]).unwrap(), &[]).unwrap();
        printer.join(&server, &house.key(&["--tag", "tag:printer"]).unwrap(), &[]).unwrap();
        join_by_approval(&house, &tablet, "carol", &[]);
        Self { phone, printer, tablet, laptop, sites: [first, second], house, authority }
    }

    /// Starts another stock node beside the phone, logged out.
    pub(crate) fn beside_the_phone(&mut self, name: &str) -> StockNode {
        start(&self.authority, &mut self.sites[0], name)
    }
}

fn start(authority: &Authority, site: &mut Site, name: &str) -> StockNode {
    let machine = site.add(name).unwrap();
    authority.tell(&machine);
    StockNode::start_with(&machine, &[("SSL_CERT_FILE", authority::FILE)]).unwrap()
}

/// An invitation of alice's, which the admin approves.
pub(crate) fn join_with_our_agent(house: &Deployment, device: &Member, authority: &Authority) {
    let (instance, name) = (&device.instance, device.instance.machine.name());
    let invitation = house.home.ok(&["invite", "alice", "-o", "json"]).unwrap();
    let invitation: Value = serde_json::from_str(&invitation).unwrap();
    let url = invitation["url"].as_str().unwrap();
    assert!(url.starts_with("https://"), "an invitation over plain HTTP");
    instance
        .ok(&["join", url, "--hostname", name, "--ca", &authority.lend(&instance.root)])
        .unwrap();
    house.home.approve(name).unwrap();
    instance.wait_for_network().unwrap();
}

/// Has a node ask to join, and approves it as this person's; `more` is for `tailscale up`.
pub(crate) fn join_by_approval(house: &Deployment, node: &StockNode, person: &str, more: &[&str]) {
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
