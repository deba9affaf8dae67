//! A full disk and a wrong clock, on lab machines with the real coordinator.
//!
//! Fails if: the tunnel ends, or makes no further handshake; the status does not name the trouble, or names it when it is over; a
//! file is damaged.

use std::{os::unix::net::UnixStream, time::Duration};

use rustix::process::Signal;
use serde_json::json;
use testkit::blocking::eventually;

use super::{
    change::Connection,
    control_plane::{ControlPlane, Node, echo, start},
    mesh::{LAPTOP, SERVICE},
};

fn house() -> (ControlPlane, Node) {
    let plane = ControlPlane::new();
    plane.open_policy();
    let home = Node::start(&plane.topology.home.clone(), SERVICE);
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    (plane, home)
}

fn problem(node: &Node) -> String {
    node.status()["problem"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "needs: root"]
fn a_full_disk_ends_no_tunnel_damages_no_file_and_is_named_until_there_is_room() {
    let (plane, home) = house();
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    let machine = plane.topology.laptops[0].clone();
    let mut laptop = Node::start(&machine, LAPTOP);
    laptop.stop();
    let dir = laptop.root.path().join("var/lib/maru/agent").display().to_string();
    machine.sh(&format!("mount -t tmpfs -o size=256k,mode=700,uid=61005 tmpfs {dir}")).unwrap();
    laptop.run();
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    Connection::open(&home, &laptop).carries("joining");
    let stored = || machine.sh(&format!("cat {dir}/netmap.json || true")).unwrap();
    eventually("the peer on disk", || stored().contains("server").then_some(()));
    assert_eq!(problem(&laptop), "");

    machine.sh(&format!("dd if=/dev/zero of={dir}/other bs=4k 2> /run/dd || true")).unwrap();
    let before = stored();
    let policy = |port: u16| {
        let policy = json!({ "acls": [{ "action": "accept", "src": ["*"], "dst": [format!("*:80,{port}")] }] });
        plane.ask("PUT", "/policy", Some(json!({ "policy": policy.to_string() })));
    };
    policy(81);
    eventually("a word about the disk", || {
        problem(&laptop).contains("No space left").then_some(())
    });
    Connection::open(&home, &laptop).carries("a full disk");
    assert_eq!(stored(), before);
    laptop.stop();
    laptop.run();
    laptop.wait_for_state("running");
    Connection::open(&home, &laptop).carries("a start on a full disk");

    machine.sh(&format!("rm {dir}/other")).unwrap();
    policy(82);
    eventually("the changed map on disk", || (stored() != before).then_some(()));
    eventually("no word about the disk", || problem(&laptop).is_empty().then_some(()));
}

#[test]
#[ignore = "needs: root"]
fn a_clock_that_is_a_day_off_ends_no_tunnel_and_is_named() {
    let (mut plane, home) = house();
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    let machine = plane.topology.laptops[0].clone();
    let mut laptop = Node::start(&machine, LAPTOP);
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    Connection::open(&home, &laptop).carries("joining");

    laptop.stop();
    let agent = lab::binary("maru-agent").unwrap().display().to_string();
    let args = ["86400", &agent, "--log", "debug"];
    laptop.agent = Some(start(&machine, laptop.root.path(), "lab-clock", &args, "agent.log"));
    eventually("the agent's local API", || UnixStream::connect(laptop.socket()).ok());
    let is_said = |said: &str| eventually(said, || problem(&laptop).contains(said).then_some(()));
    is_said("minutes ahead");
    laptop.wait_for_state("running");
    let mut connection = Connection::open(&home, &laptop);
    let signal = |signal| laptop.agent.as_ref().unwrap().signal(signal);
    // It is set while the agent runs: back, and ahead again.
    for said in ["minutes behind", "minutes ahead"] {
        signal(Signal::USR2);
        is_said(said);
        connection.carries(said);
        // After a sleep the tunnel needs another handshake, whose time must not be before that of the last one.
        signal(Signal::USR1);
        connection.carries("an hour of sleep");
    }
    plane.serve.take().unwrap().stop(Duration::from_secs(60)).unwrap();
    connection.carries("the end of the coordinator");
    Connection::open(&home, &laptop).carries("the end of the coordinator");
}
