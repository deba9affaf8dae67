//! One TCP connection through the tunnel while the network below it changes, or is bad, on lab machines.
//!
//! Fails if: the connection ends, or carries nothing until a dead connection to the relay is noticed by its silence (130 s); no
//! handshake or path comes about where datagrams are lost, come twice and overtake each other, or the path is given up there.
//! Blind to: how many seconds it takes, since a busy machine is slow.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use lab::{rough, topology::Topology};
use rustix::process::Signal;
use testkit::blocking::eventually;

use super::{
    control_plane::{LIMIT, Node, echo, start},
    mesh::{network, network_on},
};

/// A connection to the home's echo service, and how much it has carried.
pub(crate) struct Connection {
    stream: TcpStream,
    lines: u32,
}

impl Connection {
    pub(crate) fn open(home: &Node, laptop: &Node) -> Self {
        let service = format!("{}:80", home.address());
        laptop.peer("server");
        let mut stream = eventually("a connection", || laptop.connect(&service).ok());
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"\n").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        Self { stream, lines: 0 }
    }

    fn send(&mut self) {
        self.lines += 1;
        writeln!(self.stream, "{:08}", self.lines).unwrap();
    }

    /// Waits for the answer to [`Self::send`].
    fn receive(&mut self, after: &str) {
        let mut back = [0; 9];
        let answer = self.stream.read_exact(&mut back);
        assert!(answer.is_ok(), "nothing after {after}: {answer:?}");
        assert_eq!(back, *format!("{:08}\n", self.lines).as_bytes());
    }

    pub(crate) fn carries(&mut self, after: &str) {
        self.send();
        self.receive(after);
    }
}

pub(crate) fn wait_for_path(laptop: &Node, begin: &str) {
    eventually(&format!("a path that is {begin}"), || {
        laptop.peer("server")["path"].as_str()?.starts_with(begin).then_some(())
    });
}

#[test]
#[ignore = "needs: root"]
fn a_connection_outlives_changes_of_the_network_below_it() {
    let mut network = network();
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    let mut connection = Connection::open(&network.home, &network.laptop);
    wait_for_path(&network.laptop, "direct");
    let (laptop, router) = (network.laptop.machine.clone(), network.plane.topology.router.clone());

    laptop
        .sh("ip addr del 10.77.2.2/24 dev eth0; ip addr add 10.77.2.3/24 dev eth0
            ip route add 10.77.1.2/32 via 10.77.2.1")
        .unwrap();
    connection.carries("another address");
    eventually("the coordinator again", || {
        (network.laptop.status()["coordinator"]["connected"] == true).then_some(())
    });

    laptop.sh("ip link set eth0 down").unwrap();
    connection.send();
    thread::sleep(Duration::from_secs(10));
    laptop.sh("ip link set eth0 up; ip route add 10.77.1.2/32 via 10.77.2.1").unwrap();
    connection.receive("an interface that was down");

    lab::link((&laptop, "eth1", "10.77.12.2/24"), (&router, "lap12", "10.77.12.1/24")).unwrap();
    laptop.sh("ip route replace 10.77.1.2/32 via 10.77.12.1; ip link set eth0 down").unwrap();
    connection.carries("another interface");
    wait_for_path(&network.laptop, "direct");

    // Nothing is reported here: paths are judged by their silence.
    router
        .sh("nft add table ip lose
            nft 'add chain ip lose through { type filter hook forward priority 0; }'
            nft add rule ip lose through oifname lap12 meta l4proto udp drop")
        .unwrap();
    connection.carries("a path that is silent one way");
    router.sh("nft add rule ip lose through iifname lap12 meta l4proto udp drop").unwrap();
    connection.carries("a path that is silent both ways");
    wait_for_path(&network.laptop, "relay");

    let mut relay = network.plane.relay.take().unwrap();
    relay.stop(Duration::from_secs(20)).unwrap();
    network.plane.relay();
    connection.carries("a restart of the relay");

    // Only the relay is left, and its connection has the former address.
    laptop
        .sh("ip addr del 10.77.12.2/24 dev eth1; ip addr add 10.77.12.3/24 dev eth1
            ip route add 10.77.1.2/32 via 10.77.12.1")
        .unwrap();
    connection.carries("another address by relay");

    router.sh("nft delete table ip lose").unwrap();
    wait_for_path(&network.laptop, "direct");
    // What the router remembers of the path is gone, and the next mapping has another port.
    router
        .sh("nft insert rule ip nat out oifname home0 udp sport 41641 masquerade to :50000-50009
            cd /proc/sys/net/netfilter
            echo 1 > nf_conntrack_udp_timeout; echo 1 > nf_conntrack_udp_timeout_stream")
        .unwrap();
    connection.carries("nothing");
    router
        .sh("nft add table ip lose
        nft 'add chain ip lose through { type filter hook prerouting priority -300; }'
        nft add rule ip lose through meta l4proto udp drop")
        .unwrap();
    thread::sleep(Duration::from_secs(3));
    router.sh("nft delete table ip lose").unwrap();
    connection.carries("a NAT that forgot its mappings");
}

#[test]
#[ignore = "needs: root"]
fn where_a_tenth_is_lost_doubled_or_overtaken_a_path_is_found_and_kept() {
    let topology = Topology::new(&["laptop"]).unwrap();
    let (laptop, router) = (topology.laptops[0].clone(), topology.router.clone());
    laptop.sh("ip link set eth0 down").unwrap();
    let ends = [(&*laptop, "eth1", "10.77.12.2/24"), (&*router, "lap12", "10.77.12.1/24")];
    let mischief = rough::link(ends[0], ends[1]).unwrap();
    laptop.sh("ip route replace 10.77.1.2/32 via 10.77.12.1").unwrap();
    let mut network = network_on(topology);
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    Connection::open(&network.home, &network.laptop).carries("joining");
    wait_for_path(&network.laptop, "direct");

    // Without the relay, the next handshake goes where datagrams are lost, and so does all that follows.
    router
        .sh("nft add table ip lose
            nft 'add chain ip lose through { type filter hook forward priority 0; }'
            nft add rule ip lose through tcp dport 8444 drop")
        .unwrap();
    network.laptop.stop();
    network.laptop.run();
    let mut connection = Connection::open(&network.home, &network.laptop);
    wait_for_path(&network.laptop, "direct");
    for _ in 0..10 {
        for _ in 0..5 {
            connection.carries("datagrams that were lost, came twice or were overtaken");
        }
        thread::sleep(Duration::from_secs(1));
        let peer = network.laptop.peer("server");
        assert!(peer["path"].as_str().unwrap().starts_with("direct "), "{peer}");
    }
    for counter in [&mischief.lost, &mischief.doubled, &mischief.overtaken] {
        assert!(counter.load(Ordering::Relaxed) > 3, "{mischief:?}");
    }
}

#[test]
#[ignore = "needs: root"]
fn a_connection_outlives_an_hour_of_sleep() {
    let mut network = network();
    let laptop = &mut network.laptop;
    laptop.stop();
    // On a clock that can be put forward.
    let agent = lab::binary("maru-agent").unwrap();
    let args = ["0", agent.to_str().unwrap(), "--log", "debug"];
    laptop.agent =
        Some(start(&laptop.machine, laptop.root.path(), "lab-clock", &args, "agent.log"));
    eventually("the agent's local API", || UnixStream::connect(laptop.socket()).ok());
    let _callers = echo(&network.home.root.path().join("run/maru/echo/http.sock"));
    let mut connection = Connection::open(&network.home, &network.laptop);
    for _ in 0..3 {
        wait_for_path(&network.laptop, "direct");
        let woke_up = || network.laptop.log().matches("woke up").count();
        let before = woke_up();
        network.laptop.agent.as_ref().unwrap().signal(Signal::USR1);
        connection.carries("an hour of sleep");
        eventually("the sleep was noticed", || (woke_up() > before).then_some(()));
        connection.carries("connecting again");
    }
}
