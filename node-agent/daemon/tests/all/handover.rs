//! An agent that a service manager restarts, which these tests play: it keeps the TUN that the agent leaves with it
//! (`FDSTORE=1` in `sd_notify(3)`), and hands it to the next one.
//!
//! Fails if: a connection does not outlive the agent; a stop leaves the interface; a descriptor of something else is used.
//! Blind to: systemd itself, which `cargo xtask vm restart` has.

use std::{
    fs,
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixStream},
        },
    },
    path::Path,
    process::Stdio,
};

use lab::Machine;
use rustix::{
    io::{FdFlags, IoSliceMut, fcntl_dupfd_cloexec, fcntl_setfd},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use testkit::blocking::eventually;

use super::{
    control_plane::{LIMIT, Node},
    mesh::{LAPTOP, Network, network},
};

/// The service manager, as far as the agent sees it.
struct Systemd {
    socket: UnixDatagram,
    /// What it keeps, by name.
    stored: Vec<(String, OwnedFd)>,
}

impl Systemd {
    /// Listens below a node's root.
    fn of(node: &Node) -> Self {
        let path = node.root.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, stored: Vec::new() }
    }

    /// Starts the node's agent with what it keeps, and waits until it is ready.
    fn run(&mut self, node: &mut Node) {
        let mut script = String::new();
        let handed: Vec<_> = self.stored.iter().map(|(_, fd)| inherited(fd)).collect();
        for (at, fd) in handed.iter().enumerate() {
            let (to, from) = (3 + at, fd.as_raw_fd());
            script += &format!("exec {to}<&{from} {from}<&-; ");
        }
        let names: Vec<_> = self.stored.iter().map(|(name, _)| name.as_str()).collect();
        let log = node.root.path().join("agent.log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = node.machine.command("bash");
        command
            .args(["-c", &format!("{script} LISTEN_PID=$$ exec \"$@\""), "bash"])
            .arg(lab::binary("maru-agent").unwrap())
            .args(["--log", "debug", "--root"])
            .arg(node.root.path())
            .env("NOTIFY_SOCKET", node.root.path().join("notify"))
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        node.agent = Some(node.machine.spawn(&mut command).unwrap());
        while self.hear() != "READY=1\n" {}
        assert!(UnixStream::connect(node.socket()).is_ok(), "ready before it listens");
    }

    /// The next message; does what it asks for.
    fn hear(&mut self) -> String {
        let mut bytes = [0; 256];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut pieces = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg(&self.socket, &mut pieces, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
        let message = String::from_utf8(bytes[..received.bytes].to_vec()).unwrap();
        let name = message.lines().find_map(|line| line.strip_prefix("FDNAME="));
        if message.contains("FDSTOREREMOVE=1") {
            self.stored.retain(|(known, _)| Some(known.as_str()) != name);
        }
        for rights in ancillary.drain() {
            let RecvAncillaryMessage::ScmRights(fds) = rights else { continue };
            self.stored.extend(fds.map(|fd| (name.unwrap().to_owned(), fd)));
        }
        message
    }
}

/// A duplicate for a child, numbered above those that the child makes of them.
fn inherited(fd: &OwnedFd) -> OwnedFd {
    let fd = fcntl_dupfd_cloexec(fd, 100).unwrap();
    fcntl_setfd(&fd, FdFlags::empty()).unwrap();
    fd
}

/// Says something on a connection and hears it at its other end, in both directions.
fn talk(ends: &mut [TcpStream; 2], what: &str) {
    for (from, to) in [(0, 1), (1, 0)] {
        ends[from].write_all(what.as_bytes()).unwrap();
        let mut heard = vec![0; what.len()];
        ends[to].read_exact(&mut heard).unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), what);
    }
}

fn interfaces(machine: &Machine) -> String {
    machine.sh("ip -o address show").unwrap()
}

#[test]
#[ignore = "needs: root"]
fn a_connection_outlives_the_agent_and_a_stop_leaves_nothing() {
    let Network { plane: _plane, home, mut laptop } = network();
    let to = format!("{}:9000", home.address());
    let listener = home.machine.in_network(|| TcpListener::bind(&to)).unwrap();
    laptop.peer("server");
    laptop.stop();
    let mut systemd = Systemd::of(&laptop);
    systemd.run(&mut laptop);
    assert_eq!(systemd.stored.len(), 1);
    let own = eventually("a connection", || laptop.connect(&to).ok());
    let mut ends = [own, listener.accept().unwrap().0];
    ends.iter().for_each(|end| end.set_read_timeout(Some(LIMIT)).unwrap());
    talk(&mut ends, "before");
    let address = format!("inet {}/32", laptop.address());

    laptop.stop();
    assert!(interfaces(&laptop.machine).contains(&address), "the interface is kept");
    systemd.run(&mut laptop);
    talk(&mut ends, "after a restart");

    let mut agent = laptop.agent.take().unwrap();
    agent.signal_kill();
    agent.wait_for(LIMIT).unwrap();
    systemd.run(&mut laptop);
    talk(&mut ends, "after a crash");
    assert_eq!(systemd.stored.len(), 1);

    // As the service manager does when the unit is stopped, not restarted.
    laptop.stop();
    systemd.stored.clear();
    let left = laptop.machine.sh("ip -o link; ip route; nft list tables").unwrap();
    assert!(!left.contains("maru") && !left.contains("100.64."), "left behind: {left}");
}

#[test]
#[ignore = "needs: root"]
fn what_is_no_tun_of_ours_is_not_used() {
    let topology = lab::topology::Topology::new(&["laptop"]).unwrap();
    let mut laptop = Node::start(&topology.laptops[0].clone(), LAPTOP);
    laptop.stop();
    let mut systemd = Systemd::of(&laptop);
    let machine = laptop.machine.clone();
    let links = || machine.sh("ip -o link").unwrap();
    let null = || OwnedFd::from(fs::File::open(Path::new("/dev/null")).unwrap());
    // The TUN of another interface, which a first agent with other settings leaves.
    let settings = laptop.root.path().join("etc/maru/agent.toml");
    fs::write(&settings, format!("{LAPTOP}interface = \"other0\"\n")).unwrap();
    systemd.run(&mut laptop);
    laptop.stop();
    assert!(links().contains("other0"));
    fs::write(&settings, LAPTOP).unwrap();
    systemd.stored.push(("tun".to_owned(), null()));
    systemd.stored.push(("more".to_owned(), null()));

    systemd.run(&mut laptop);

    let log = laptop.log();
    assert_eq!(log.matches("no TUN of ours").count(), 3, "{log}");
    assert!(links().contains(" maru"));
    assert_eq!(systemd.stored.iter().filter(|(name, _)| name == "tun").count(), 1);
    laptop.stop();
    systemd.stored.clear();
    let left = links();
    assert!(!left.contains(" maru") && !left.contains("other0"), "left behind: {left}");
}
