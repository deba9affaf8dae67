//! The kill switch of an exit node's user where no agent runs, on lab machines.
//!
//! Fails if: something leaves before the agent's first start, or where its settings cannot be used; nobody gets out again; a node
//! that is paused, or has no exit node, is closed. Blind to: when systemd starts the unit, which tests of `services` hold.

use std::{process::Stdio, sync::Arc};

use lab::{Machine, link};

use super::{
    control_plane::{ControlPlane, LIMIT, Node, ask, restore, root, start, write},
    routes::{bound_to, left_behind, packets, watch_cable},
};

#[test]
#[ignore = "needs: root"]
fn from_boot_on_nothing_leaves_beside_an_exit_node_unless_the_node_is_paused() {
    let plane = ControlPlane::new();
    let machine = plane.topology.laptops[0].clone();
    let mut node = Node::start(&machine, "dns = \"off\"\n");
    node.join(&plane.invite("juno", true));
    node.wait_for_state("running");
    node.stop();
    // As the unit runs it; returns whether the settings could be used.
    let boot = |node: &Node| {
        let mut command = machine.command(lab::binary("maru-agent").unwrap());
        command.arg("kill-switch").arg("--root").arg(node.root.path()).stdin(Stdio::null());
        command.status().unwrap().success()
    };
    assert!(boot(&node));
    assert_eq!(left_behind(&machine), "", "without an exit node");

    let settings = node.root.path().join("etc/maru/agent.toml");
    std::fs::write(&settings, "exit_node = \"server\"\ndns = \"off\"\n").unwrap();
    assert!(boot(&node) && boot(&node));
    watch_cable(&machine);
    let send = |from: &str, to: &str| {
        let _ = machine.in_network(|| bound_to("eth0", from).send_to(b"knock", to));
        packets(&machine)[0]
    };
    assert_eq!(send("0.0.0.0:0", "10.77.2.1:53"), 0);
    assert_eq!(send("0.0.0.0:68", "10.77.2.1:67"), 1, "a lease");

    node.run();
    node.wait_for_state("running");
    assert_eq!(send("0.0.0.0:0", "10.77.2.1:53"), 1);
    assert_eq!(ask(&node.socket(), "POST", "/v1/pause", None).0, 200);
    assert_eq!(left_behind(&machine), "");
    node.stop();
    assert!(boot(&node));
    assert_eq!(left_behind(&machine), "", "paused");
    assert!(send("0.0.0.0:0", "10.77.2.1:53") > 1);
    std::fs::write(&settings, "exit_node = \"server\"\ndns = 1").unwrap();
    assert!(!boot(&node));
    assert_eq!(left_behind(&machine), "", "paused, with settings that cannot be used");
}

#[test]
#[ignore = "needs: root"]
fn settings_that_cannot_be_used_close_the_kill_switch_of_the_exit_node_that_they_name() {
    let machine = Arc::new(Machine::new("laptop").unwrap());
    let outside = Machine::new("outside").unwrap();
    link((&machine, "eth0", "10.77.2.2/24"), (&outside, "eth0", "10.77.2.1/24")).unwrap();
    let node = Node { machine: Arc::clone(&machine), root: root(), agent: None };
    watch_cable(&machine);
    let leaves = || {
        let before = packets(&machine)[0];
        let _ =
            machine.in_network(|| bound_to("eth0", "0.0.0.0:0").send_to(b"knock", "10.77.2.1:53"));
        packets(&machine)[0] > before
    };
    // What runs at boot; and the agent, after the stop of a restart has removed the table.
    for args in [&["kill-switch"][..], &[]] {
        let fails = |settings| {
            write(node.root.path(), "etc/maru/agent.toml", settings);
            let mut failing = start(&machine, node.root.path(), "maru-agent", args, "agent.log");
            assert!(!failing.wait_for(LIMIT).unwrap().expect("it ends").success(), "{args:?}");
        };
        fails("dns = 1");
        assert!(leaves() && left_behind(&machine).is_empty(), "{args:?}");
        fails("exit_node = 'server'\ndns = 1");
        assert!(!leaves(), "{args:?}");
        // What systemd runs after the agent leaves it on; whoever has stopped the agent gets out.
        restore(&node, Some("exit-code"));
        assert!(!leaves(), "{args:?}");
        assert_eq!(restore(&node, None), (Some(0), String::new()));
        assert!(leaves() && left_behind(&machine).is_empty(), "{args:?}");
    }
    assert!(node.log().contains(&node.restore_command()), "{}", node.log());
}
