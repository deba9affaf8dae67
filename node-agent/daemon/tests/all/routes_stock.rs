//! Routes between our agent and stock Tailscale, both ways, on lab machines (see `routes.rs`).
//!
//! Fails if: a subnet or the internet behind one is not reached by the other, through it. Blind to: IPv6, names.

use lab::{Machine, stock::StockNode};
use serde_json::json;
use testkit::blocking::eventually;

use super::{
    control_plane::ControlPlane,
    routes::{LAN, approve_of, laptop, printer, router, seen_at_printer},
};

const SERVER: &str = "http://10.77.1.2:8443";
const THROUGH_HOME: &str = "192.168.9.1";
const BOTH: [&str; 3] = [LAN, "0.0.0.0/0", "::/0"];

fn plane() -> (ControlPlane, Machine) {
    let plane = ControlPlane::new();
    plane.open_policy();
    let printer = printer(&plane.topology.home);
    (plane, printer)
}

fn key(plane: &ControlPlane, user: &str) -> String {
    // The first invitation makes the person.
    plane.invite(user, true);
    let key = json!({ "user": user, "pre_approved": true });
    plane.ask("POST", "/keys", Some(key))["key"].as_str().unwrap().to_owned()
}

/// A stock router on the home machine, and its name in the network.
fn stock_router(plane: &ControlPlane) -> (StockNode, String) {
    let home = plane.topology.home.clone();
    home.sh("nft add table ip nat
             nft 'add chain ip nat out { type nat hook postrouting priority 100; }'
             nft add rule ip nat out oifname lan0 masquerade")
        .unwrap();
    let stock = StockNode::start(&home).unwrap();
    let offers = format!("--advertise-routes={LAN}");
    let more = [offers.as_str(), "--advertise-exit-node"];
    stock.join(SERVER, &key(plane, "mina"), &more).unwrap();
    let name = plane.device("home")["name"].as_str().unwrap().to_owned();
    (stock, name)
}

#[test]
#[ignore = "needs: root, go"]
fn a_stock_router_leads_our_agent_to_its_subnet() {
    let (plane, _printer) = plane();
    let (_router, name) = stock_router(&plane);
    let laptop = laptop(&plane, &name, "accept_routes = true\ndns = \"off\"\n");
    assert_eq!(seen_at_printer(&laptop.machine), None, "nobody approved it");

    approve_of(&plane, "home", &BOTH);
    let seen = eventually("the printer", || seen_at_printer(&laptop.machine));
    assert_eq!(seen, THROUGH_HOME);
}

#[test]
#[ignore = "needs: root, go"]
fn a_stock_exit_node_leads_our_agent_out() {
    let (plane, _printer) = plane();
    let (mut router, name) = stock_router(&plane);
    let laptop = laptop(&plane, &name, &format!("exit_node = \"{name}\"\ndns = \"off\"\n"));
    approve_of(&plane, "home", &BOTH);
    let seen = eventually("the printer", || seen_at_printer(&laptop.machine));
    assert_eq!(seen, THROUGH_HOME);

    router.restart().unwrap();
    eventually("the printer again", || seen_at_printer(&laptop.machine));
}

#[test]
#[ignore = "needs: root, go"]
fn our_agent_leads_a_stock_client_to_its_subnet_and_out() {
    let (plane, _printer) = plane();
    let router = router(&plane);
    let machine = plane.topology.laptops[0].clone();
    machine.sh("ip route add default via 10.77.2.1").unwrap();
    let stock = StockNode::start(&machine).unwrap();
    stock.join(SERVER, &key(&plane, "juno"), &["--accept-routes"]).unwrap();
    stock.wait_for_peers(&["server"]).unwrap();
    assert_eq!(seen_at_printer(&machine), None, "nobody approved it");

    approve_of(&plane, "server", &BOTH);
    let seen = eventually("the printer", || seen_at_printer(&machine));
    assert_eq!(seen, THROUGH_HOME);

    stock
        .ok(&["set", "--accept-routes=false", &format!("--exit-node={}", router.address())])
        .unwrap();
    let seen = eventually("the printer, through the exit node", || seen_at_printer(&machine));
    assert_eq!(seen, THROUGH_HOME);
}
