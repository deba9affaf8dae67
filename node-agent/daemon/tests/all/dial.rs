//! A dial to another member's mesh address, on lab machines with the real coordinator and relay.
//!
//! Fails if: what is dialled is reached by another way than the tunnel, or from another address than this node's own;
//! another user than the dial's gets through; the end of a caller does not reach the target; a node that was removed
//! stays connected, or its absence floods the log; a socket has another owner, group or mode than its caller needs.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::PathBuf,
};

use lab::Machine;
use mesh_identity::AGENT_UID;
use testkit::blocking::eventually;

use super::control_plane::{ControlPlane, LIMIT, Node, write};

/// The user of the gateway, who is nobody here.
const GATEWAY: u32 = 61_002;

fn settings(to: &SocketAddr) -> String {
    let dial = |name: &str, uid: u32| {
        format!(
            "[[dial]]\nname = {name:?}\nsocket = \"run/maru/dial/{name}/http.sock\"\nuid = {uid}\nto = \"{to}\"\n"
        )
    };
    format!("hostname = \"server\"\n{}{}", dial("own", 0), dial("gateway", GATEWAY))
}

fn listen(machine: &Machine, at: SocketAddr) -> TcpListener {
    machine.in_network(|| TcpListener::bind(at)).unwrap()
}

struct Network {
    plane: ControlPlane,
    home: Node,
    _laptop: Node,
    /// What listens at the laptop's mesh address.
    target: TcpListener,
}

/// Home dials the laptop.
fn network() -> Network {
    let plane = ControlPlane::new();
    plane.open_policy();
    let mut home = Node::start(&plane.topology.home.clone(), "hostname = \"server\"\n");
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let laptop = Node::start(&plane.topology.laptops[0].clone(), "hostname = \"laptop\"\n");
    laptop.join(&plane.invite("juno", true));
    laptop.wait_for_state("running");
    let to = format!("{}:11434", laptop.address()).parse().unwrap();
    let target = listen(&laptop.machine, to);
    home.stop();
    write(home.root.path(), "etc/maru/agent.toml", &settings(&to));
    home.run();
    home.peer("laptop");
    Network { plane, home, _laptop: laptop, target }
}

impl Network {
    fn socket(&self, name: &str) -> PathBuf {
        self.home.root.path().join(format!("run/maru/dial/{name}/http.sock"))
    }

    fn call(&self, name: &str) -> UnixStream {
        self.try_call(name).unwrap()
    }

    fn try_call(&self, name: &str) -> io::Result<UnixStream> {
        let caller = UnixStream::connect(self.socket(name))?;
        caller.set_read_timeout(Some(LIMIT))?;
        Ok(caller)
    }

    /// Both ends of a connection, once the agent listens and the tunnel is there.
    fn connection(&self) -> (UnixStream, TcpStream) {
        self.target.set_nonblocking(true).unwrap();
        eventually("a connection", || {
            let caller = self.try_call("own").ok()?;
            let (target, _) = wait_for_either(&caller, &self.target)?;
            target.set_nonblocking(false).unwrap();
            target.set_read_timeout(Some(LIMIT)).unwrap();
            Some((caller, target))
        })
    }
}

/// The connection that `caller` led to, or nothing if it was closed instead.
fn wait_for_either(caller: &UnixStream, target: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    caller.set_nonblocking(true).unwrap();
    let found = eventually("a connection or its refusal", || match target.accept() {
        Ok(accepted) => Some(Some(accepted)),
        Err(_) => matches!((&*caller).read(&mut [0; 1]), Ok(0)).then_some(None),
    });
    caller.set_nonblocking(false).unwrap();
    found
}

#[test]
#[ignore = "needs: root"]
fn a_members_address_is_dialled_through_the_tunnel_and_for_one_user() {
    let network = network();
    let Network { home, target, .. } = &network;
    // A nearer route to the laptop's address, past the tunnel, and somebody there who listens.
    let to = target.local_addr().unwrap();
    let router = &network.plane.topology.router;
    router.sh(&format!("ip addr add {}/32 dev lo", to.ip())).unwrap();
    home.machine.sh(&format!("ip route add {}/32 via 10.77.1.1", to.ip())).unwrap();
    let decoy = listen(router, to);
    decoy.set_nonblocking(true).unwrap();

    let (mut caller, mut reached) = network.connection();
    caller.write_all(b"question").unwrap();
    caller.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    reached.read_to_string(&mut heard).unwrap();
    reached.write_all(b"reply").unwrap();
    assert_eq!(reached.peer_addr().unwrap().ip().to_string(), home.address());
    drop(reached);
    let mut back = String::new();
    caller.read_to_string(&mut back).unwrap();
    assert_eq!((heard.as_str(), back.as_str()), ("question", "reply"));

    // The control: by the routes alone the tunnel is not taken.
    let way = home.machine.sh(&format!("ip route get {}", to.ip())).unwrap();
    assert!(way.contains("via 10.77.1.1"), "{way}");
    assert!(decoy.accept().is_err(), "the way past the tunnel was taken");

    // Root, who may enter every folder, is not the gateway.
    assert_eq!(network.call("gateway").read(&mut [0; 1]).unwrap(), 0);
    for (name, gid) in [("own", 0), ("gateway", GATEWAY)] {
        let socket = fs::metadata(network.socket(name)).unwrap();
        let folder = fs::metadata(network.socket(name).parent().unwrap()).unwrap();
        assert_eq!((socket.uid(), socket.gid()), (AGENT_UID, gid), "{name}");
        assert_eq!((folder.uid(), folder.gid()), (AGENT_UID, gid), "{name}");
        assert_eq!((socket.mode() & 0o7777, folder.mode() & 0o7777), (0o660, 0o2750), "{name}");
    }
}

#[test]
#[ignore = "needs: root"]
fn a_reply_that_nobody_waits_for_is_stopped_at_the_other_end_of_the_mesh() {
    let network = network();
    let (mut caller, mut target) = network.connection();
    caller.write_all(b"question").unwrap();
    target.read_exact(&mut [0; 8]).unwrap();
    drop(caller);
    // An end or a reset: the target hears of it, though it has said nothing.
    assert_eq!(target.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
#[ignore = "needs: root"]
fn a_removed_node_is_not_dialled_any_more_and_that_is_said_once() {
    const CUT: &str = "the node is no longer in the map";
    const AWAY: &str = "no node of the network has this address";
    let mut network = network();
    let (mut caller, _target) = network.connection();
    let id = network.plane.device("laptop")["id"].clone();

    network.plane.ask("DELETE", &format!("/devices/{id}"), None);

    assert_eq!(caller.read(&mut [0; 1]).unwrap_or(0), 0);
    eventually("the cut", || network.home.log().contains(CUT));
    for _ in 0..3 {
        assert_eq!(network.call("own").read(&mut [0; 1]).unwrap(), 0);
    }
    assert_eq!(network.home.log().matches(AWAY).count(), 1);

    let socket = network.socket("own");
    network.home.stop();
    assert!(!socket.exists(), "left behind");
    network.home.run();
    eventually("the socket again", || socket.exists());
}
