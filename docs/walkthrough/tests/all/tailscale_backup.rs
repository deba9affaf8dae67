//! A home machine that is lost, and another that goes on from its backup.
//!
//! Fails if a device has to join again: our agent on a laptop, a stock Tailscale node, or a television that has only WireGuard.
//! Also if the laptop takes the gateway for another, or if the network does not tell that it lives on under the same names and
//! addresses.

use std::{fs, net::TcpStream, path::Path, time::Duration};

use lab::{Deployment, ROOT, STOP, nat::Nat, stock::StockNode, wireguard};
use serde_json::Value;
use testkit::blocking::eventually_within;

/// How long devices may take to be back: they notice that their sessions are gone.
const AGAIN: Duration = Duration::from_secs(120);

/// What is known of each device that a new registration would change.
fn devices(house: &Deployment) -> Vec<[Value; 4]> {
    let devices = house.home.ok(&["device", "list", "-o", "json"]).unwrap();
    let devices: Vec<Value> = serde_json::from_str(&devices).unwrap();
    let known =
        |it: &Value| ["id", "stable_id", "node_key", "addresses"].map(|key| it[key].clone());
    devices.iter().map(known).collect()
}

/// How often a device became a node, or came back with another key.
fn registrations(house: &Deployment) -> usize {
    let log = house.home.ok(&["log", "-o", "json"]).unwrap();
    let log: Vec<Value> = serde_json::from_str(&log).unwrap();
    let registers = |it: &&Value| it["action"] == "device.join" || it["action"] == "device.rekey";
    log.iter().filter(registers).count()
}

/// Removes everything below a folder.
fn destroy(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
}

#[test]
#[ignore = "needs: root, podman, model, go, resolvers, wireguard-tools"]
fn with_the_home_machine_destroyed_agent_stock_node_and_wireguard_device_go_on_from_its_backup() {
    let mut house = Deployment::start().unwrap();
    let laptop = house.member("laptop", "alice").unwrap();
    let mut site = house.topology.site(Nat::PortRestricted).unwrap();
    let phone = StockNode::start(&site.add("phone").unwrap()).unwrap();
    house.home.ok(&["user", "create", "bob"]).unwrap();
    let key = house.key(&["--user", "bob"]).unwrap();
    phone.join(&house.server_url().unwrap(), &key, &[]).unwrap();
    phone.wait_for_peers(&["home"]).unwrap();
    let tv = house.home.ok(&["wireguard", "add", "tv", "--user", "bob", "-o", "json"]).unwrap();
    let tv: Value = serde_json::from_str(&tv).unwrap();
    let machine = house.topology.add("tv").unwrap();
    wireguard::Device::up(&machine, tv["configuration"].as_str().unwrap()).unwrap();
    let gateway = (laptop.instance.gateway().unwrap(), 18789).into();
    let tv_connects =
        || machine.in_network(|| TcpStream::connect_timeout(&gateway, Duration::from_secs(6)));
    eventually_within(AGAIN, "the television reaches the gateway", tv_connects);
    let (before, joined) = (devices(&house), registrations(&house));
    assert_eq!((before.len(), joined), (4, 2), "home and phone by key, the laptop by approval");

    house.home.ok(&["backup", &format!("{ROOT}/backup.tar")]).unwrap();
    let saved = fs::read(house.home.root.join("backup.tar")).unwrap();
    assert!(house.up.stop(STOP).unwrap().success());
    destroy(&house.home.root);
    fs::write(house.home.root.join("backup.tar"), saved).unwrap();
    house.home.ok(&["restore", &format!("{ROOT}/backup.tar")]).unwrap();
    (house.up, _) = house.home.up(&[], |_| {}, || Ok(())).unwrap();

    // The laptop has pinned the gateway's key, and asks it without being told another.
    let ask = ["chat", "--max-tokens", "3", "--ask", "Hello!"];
    eventually_within(AGAIN, "the laptop talks with the gateway", || {
        laptop.instance.run(&ask).unwrap().status.success()
    });
    eventually_within(AGAIN, "the phone is told of the network", || {
        let home = phone.peer("home").unwrap();
        home.is_some_and(|home| home["Online"] == true)
    });
    eventually_within(AGAIN, "the television reaches the gateway again", tv_connects);
    assert_eq!(devices(&house), before);
    assert_eq!(registrations(&house), joined, "a device had to register again");
}
