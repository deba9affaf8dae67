//! What the agent may do once it runs, started by root by hand, and what is left of root: its helper.
//!
//! Fails if the agent keeps a right that it does not need, if a process with its rights writes where it should not, if
//! state of the time when the agent was root is not taken over or a planted link is followed, or if whoever is killed
//! leaves `/etc/resolv.conf` pointed at nobody.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown, symlink},
        net::UnixStream,
    },
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use lab::{
    Machine,
    inside::{as_process, processes, status_field},
};
use mesh_identity::{AGENT_GID, AGENT_UID};
use rustix::process::{Pid, Signal, kill_process};
use testkit::blocking::eventually;

use super::control_plane::{self, ControlPlane, Node};

/// CAP_NET_ADMIN (12) and CAP_NET_BIND_SERVICE (10).
const TWO: &str = "0000000000001400";
const NONE: &str = "0000000000000000";
const BEFORE: &str = "nameserver 192.0.2.53\nsearch lan\n";

fn machine() -> Arc<Machine> {
    Arc::new(Machine::new("rights").unwrap())
}

fn helpers(machine: &Machine) -> Vec<u32> {
    let all = processes(machine.pid()).unwrap().into_iter();
    all.filter(|(_, name)| name == "maru-resolver").map(|(pid, _)| pid).collect()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Has exactly these rights, and cannot get more.
fn has_rights(pid: u32, uid: u32, capabilities: &str) {
    has_rights_of(pid, (uid, if uid == 0 { 0 } else { AGENT_GID }), capabilities);
}

fn has_rights_of(pid: u32, (uid, gid): (u32, u32), capabilities: &str) {
    let field = |name: &str| status_field(pid, name).unwrap();
    let ids = |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join("\t");
    assert_eq!(field("Uid"), ids(uid));
    assert_eq!(field("Gid"), ids(gid));
    assert_eq!(field("Groups"), "");
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
        assert_eq!(field(set), capabilities, "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
}

#[test]
#[ignore = "needs: root"]
fn the_agent_keeps_two_capabilities_and_its_helper_none() {
    let machine = machine();
    let mut node = Node::start(&machine, "");
    let pid = node.agent.as_ref().unwrap().pid();

    has_rights(pid, AGENT_UID, TWO);
    let helpers = helpers(&machine);
    assert_eq!(helpers.len(), 2, "a keeper and a writer");
    helpers.into_iter().for_each(|pid| has_rights(pid, 0, NONE));

    let root = node.root.path().to_owned();
    let written = as_process(pid, AGENT_UID, AGENT_GID, || {
        let could = |folder: &Path| {
            let file = folder.join("written-by-the-test");
            fs::write(&file, "x").and_then(|()| fs::remove_file(&file)).is_ok()
        };
        let places = ["", "etc/maru", "run/maru", "var/lib/maru", "var/lib/maru/resolver"];
        let others = places.into_iter().map(|plane| root.join(plane));
        let system = ["/etc", "/run", "/usr", "/"].into_iter().map(Into::into);
        let wrong: Vec<_> = others.chain(system).filter(|plane| could(plane)).collect();
        let own = ["run/maru/agent", "var/lib/maru/agent"];
        (wrong, own.into_iter().all(|plane| could(&root.join(plane))))
    });
    assert_eq!(written.unwrap(), (vec![], true), "elsewhere, and in its own folders");

    node.stop();
    let left = processes(machine.pid()).unwrap();
    assert!(!left.iter().any(|(_, name)| name.starts_with("maru")), "{left:?}");
}

/// As `maru up` starts it: the kernel tells it of its parent's end, though it became another user since.
#[test]
#[ignore = "needs: root"]
fn it_ends_with_whoever_started_it() {
    let machine = machine();
    let root = control_plane::root();
    let agent = lab::binary("maru-agent").unwrap();
    let script = format!(
        "setpriv --pdeathsig=TERM -- {} --root {} & wait",
        agent.display(),
        root.path().display()
    );
    let mut command = machine.command("bash");
    let shell = machine.spawn(command.args(["-c", &script])).unwrap();
    let named = |name: &str| {
        let all = processes(machine.pid()).unwrap().into_iter();
        all.filter(|(_, found)| found == name).map(|(pid, _)| pid).collect::<Vec<_>>()
    };
    let socket = root.path().join("run/maru/agent/api.sock");
    eventually("the local API", || socket.exists());
    let [agent] = named("maru-agent")[..] else { panic!("one agent runs") };
    has_rights(agent, AGENT_UID, TWO);

    kill(shell.pid());

    eventually("its end", || named("maru-agent").is_empty());
    eventually("its helper's end", || helpers(&machine).is_empty());
}

/// A user of this machine to whom somebody gave the two capabilities.
const SOMEBODY: u32 = 61_902;

/// Starts the agent as [`SOMEBODY`] with these capabilities, in a folder of its own.
fn as_somebody(machine: &Arc<Machine>, capabilities: &str) -> Node {
    let root = control_plane::root();
    chown(root.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let log = fs::File::create(root.path().join("agent.log")).unwrap();
    let mut command = machine.command("setpriv");
    command.args([
        &format!("--reuid={SOMEBODY}"),
        &format!("--regid={SOMEBODY}"),
        "--clear-groups",
        &format!("--inh-caps=-all{capabilities}"),
        &format!("--ambient-caps=-all{capabilities}"),
        &format!("--bounding-set=-all{capabilities}"),
        "--",
    ]);
    command.arg(lab::binary("maru-agent").unwrap()).arg("--root").arg(root.path());
    let agent = machine.spawn(command.stdin(Stdio::null()).stderr(log)).unwrap();
    Node { machine: Arc::clone(machine), root, agent: Some(agent) }
}

#[test]
#[ignore = "needs: root"]
fn another_user_with_the_two_capabilities_runs_it_and_with_one_does_not() {
    let machine = machine();
    let resolver = || machine.sh("cat /etc/resolv.conf").unwrap();
    let before = resolver();
    // On some hosts root alone may open it.
    machine.sh("mknod -m 666 /run/tun c 10 200; mount --bind /run/tun /dev/net/tun").unwrap();
    let mut node = as_somebody(&machine, ",+net_admin,+net_bind_service");
    eventually("the local API", || UnixStream::connect(node.socket()).ok());

    let pid = node.agent.as_ref().unwrap().pid();
    has_rights_of(pid, (SOMEBODY, SOMEBODY), TWO);
    assert_eq!(node.status()["state"], "needs_join");
    assert_eq!(machine.sh("ip -br link | grep -c maru").unwrap().trim(), "1", "no interface");
    assert_eq!((helpers(&machine), resolver()), (vec![], before), "somebody is root");
    node.stop();
    assert!(machine.sh("ip -br link | grep maru || true").unwrap().is_empty(), "left behind");

    let mut node = as_somebody(&machine, ",+net_admin");
    let ended = node.agent.as_mut().unwrap().wait_for(Duration::from_secs(60)).unwrap();
    assert_eq!(ended.unwrap().code(), Some(1));
    let said = node.log();
    assert!(said.contains("CAP_NET_BIND_SERVICE") && said.contains("sudo maru-agent"), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn state_of_the_time_as_root_is_taken_over_and_a_planted_link_is_not_followed() {
    let mut node = Node::start(&machine(), "");
    let key = |node: &Node| {
        fs::read_to_string(node.root.path().join("var/lib/maru/agent/state.json")).unwrap()
    };
    let before = key(&node);
    node.stop();
    let (state, secret) =
        (node.root.path().join("var/lib/maru/agent"), node.root.path().join("secret"));
    fs::write(&secret, "root's").unwrap();
    for path in [&state, &state.join("state.json"), &node.root.path().join("run/maru/agent")] {
        chown(path, Some(0), Some(0)).unwrap();
    }
    symlink(&secret, state.join("soft")).unwrap();
    fs::hard_link(&secret, state.join("hard")).unwrap();

    node.run();

    assert_eq!(key(&node), before, "it is the device that it was");
    for path in [&state, &state.join("state.json"), &node.socket()] {
        assert_eq!(fs::metadata(path).unwrap().uid(), AGENT_UID, "{path:?}");
    }
    assert_eq!(fs::metadata(&secret).unwrap().uid(), 0, "a planted link was followed");
}

#[test]
#[ignore = "needs: root"]
fn whoever_is_killed_the_resolver_comes_back() {
    let plane = ControlPlane::new();
    let machine = plane.topology.laptops[0].clone();
    let conf = || fs::read_to_string(machine.path("/etc/resolv.conf")).unwrap();
    let pointed = || eventually("pointed", || conf().contains("100.100.100.100"));
    let back = || eventually("as before", || conf() == BEFORE);
    fs::write(machine.path("/etc/resolv.conf"), BEFORE).unwrap();
    let mut node = Node::start(&machine, "");
    node.join(&plane.invite("juno", true));
    pointed();

    // The agent: its helper is there.
    kill(node.agent.take().unwrap().pid());
    back();
    node.run();
    pointed();

    // The helper: the next start.
    helpers(&machine).into_iter().for_each(kill);
    node.stop();
    assert_ne!(conf(), BEFORE, "nobody could");
    node.run();
    pointed();
    node.stop();
    assert_eq!(conf(), BEFORE);

    // Both: the next start.
    node.run();
    pointed();
    helpers(&machine).into_iter().for_each(kill);
    kill(node.agent.take().unwrap().pid());
    node.run();
    pointed();

    // Another program puts a file of its own in the place: it is pointed as well, and is what comes back.
    let other = "nameserver 198.51.100.53\n";
    machine.sh(&format!("printf '{other}' > /etc/other; mv /etc/other /etc/resolv.conf")).unwrap();
    pointed();
    assert!(node.agent.as_mut().unwrap().stop(Duration::from_secs(60)).unwrap().success());
    assert_eq!(conf(), other);
}
