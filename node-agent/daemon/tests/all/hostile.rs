//! An approved peer that wants its packets inside the tunnel: it offers its own mesh address as an endpoint, and speaks
//! WireGuard from there, inside the tunnel that it has over the relay.
//!
//! It is no agent of ours, which would refuse that: it asks the coordinator itself, and seals by the library.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use boringtun::{
    noise::{Tunn, TunnResult},
    x25519::{PublicKey, StaticSecret},
};
use control_protocol::{
    CAPABILITY_VERSION, frame,
    key::{MachinePrivate, NodePrivate},
    map::{self, Hostinfo, MapRequest, NetInfo},
    register::{self, Auth, RegisterRequest},
};
use lab::Machine;
use node_agent::{
    control::{
        channel::{Channel, fetch_key},
        server::Server,
    },
    dns::forward::Forwarder,
    relay::{FromRelay, Relays},
};
use node_agent_core::netmap::{self, Netmap};
use tokio::{runtime::Runtime, sync::watch};

/// The port of every agent.
const PORT: u16 = 41641;
/// How often it speaks from its mesh address.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest datagram here.
const BUFFER: usize = 65_536;
/// Headers of IPv4 and UDP.
const HEADERS: usize = 28;

/// What it has seen and done.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// Packets of the victim that were datagrams of the tunnel themselves.
    pub(crate) sealed_twice: AtomicUsize,
    /// All other UDP datagrams of the victim.
    pub(crate) plain: AtomicUsize,
    /// Datagrams of the tunnel that it sent from its mesh address.
    pub(crate) sent: AtomicUsize,
}

/// The peer; dropping it stops it.
pub(crate) struct HostilePeer {
    pub(crate) address: Ipv4Addr,
    pub(crate) seen: Arc<Observations>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _runtime: Runtime,
}

/// What the coordinator made of it.
struct Member {
    node: NodePrivate,
    own: Ipv4Addr,
    victim: Ipv4Addr,
    victim_key: [u8; 32],
    relays: map::DerpMap,
}

impl HostilePeer {
    /// Joins with a pre-approved key, and meets the node whose name is `victim` over the relay.
    pub(crate) fn start(machine: &Machine, coordinator: &str, key: &str, victim: &str) -> Self {
        // The threads that it starts are in the machine's network, as the one that starts it.
        let runtime = machine.in_network(|| Runtime::new().unwrap());
        let member = runtime.block_on(runtime.spawn(join(
            coordinator.to_owned(),
            key.to_owned(),
            victim.to_owned(),
        )));
        let member = member.unwrap();
        let (seen, stop) = (Arc::<Observations>::default(), Arc::<AtomicBool>::default());
        let address = member.own;
        let peer = Peer::new(member, &runtime, Arc::clone(&seen));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || peer.run(&stopped));
        Self { address, seen, stop, thread: Mutex::new(Some(thread)), _runtime: runtime }
    }
}

impl Drop for HostilePeer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap().take() {
            let _ = thread.join();
        }
    }
}

/// Registers, reads the map, and offers its own mesh address.
async fn join(url: String, key: String, victim: String) -> Member {
    let coordinator = Server { url: &url, ca: None };
    let forwarder = Forwarder::default();
    let (machine, node) = (MachinePrivate::generate().unwrap(), NodePrivate::generate().unwrap());
    let server = fetch_key(coordinator, &forwarder).await.unwrap();
    let channel = Channel::open(coordinator, &machine, server, &forwarder).await.unwrap();
    let hostinfo = Hostinfo { hostname: "hostile".to_owned(), ..Hostinfo::default() };
    let request = RegisterRequest {
        version: CAPABILITY_VERSION,
        node_key: node.public(),
        auth: Some(Auth { auth_key: key }),
        hostinfo: Some(hostinfo.clone()),
        ..RegisterRequest::default()
    };
    let reply = channel.post(register::PATH, &request, register::MAX_LEN).await.unwrap();
    assert_eq!(reply.status, 200);

    let request = MapRequest {
        version: CAPABILITY_VERSION,
        node_key: node.public(),
        hostinfo: Some(hostinfo),
        compress: map::ZSTD.to_owned(),
        ..MapRequest::default()
    };
    let stream = MapRequest { stream: true, keep_alive: true, ..request.clone() };
    let mut body = channel.start(map::PATH, &stream).await.unwrap().into_body();
    let mut decoder = frame::Decoder::new(frame::MAX_BODY_LEN);
    let mut map = Netmap::default();
    let home = loop {
        let piece = chassis::body::frame(&mut body).await.unwrap().unwrap();
        decoder.handle_bytes(&piece.into_data().unwrap());
        while let Some(message) = decoder.poll_body().unwrap() {
            map.apply(netmap::decode(&message).unwrap());
        }
        let found = map.peers.values().find(|peer| netmap::label(&peer.name) == victim);
        if let Some(found) = found {
            break found.clone();
        }
    };
    let v4 = |node: &map::Node| match node.addresses[0].addr() {
        std::net::IpAddr::V4(v4) => v4,
        std::net::IpAddr::V6(_) => panic!("the IPv4 address comes first"),
    };
    let own = v4(map.node.as_ref().unwrap());
    let region = *map.relays.regions.keys().next().unwrap();
    let net_info = Some(NetInfo { preferred_derp: region });
    let report = MapRequest {
        omit_peers: true,
        endpoints: vec![SocketAddr::from((own, PORT))],
        hostinfo: request.hostinfo.clone().map(|info| Hostinfo { net_info, ..info }),
        ..request
    };
    let reply = channel.post(map::PATH, &report, map::MAX_REQUEST_LEN).await.unwrap();
    assert_eq!(reply.status, 200);
    let relays = map.relays;
    Member { node, own, victim: v4(&home), victim_key: *home.key.as_bytes(), relays }
}

/// Its end of the tunnel.
struct Peer {
    tunn: Tunn,
    relays: Relays,
    relayed: mpsc::Receiver<Vec<u8>>,
    victim_key: [u8; 32],
    own: Ipv4Addr,
    victim: Ipv4Addr,
    seen: Arc<Observations>,
}

impl Peer {
    fn new(member: Member, runtime: &Runtime, seen: Arc<Observations>) -> Self {
        let Member { node, own, victim, victim_key, relays: map } = member;
        let private = StaticSecret::from(*node.as_bytes());
        let tunn = Tunn::new(private, PublicKey::from(victim_key), None, None, 1, None);
        let (sender, relayed) = mpsc::channel();
        let received = move |_: &[u8; 32], what: FromRelay<'_>| {
            if let FromRelay::Packet(packet) = what {
                let _ = sender.send(packet.to_vec());
            }
        };
        let relays = Relays::new(
            runtime.handle().clone(),
            node,
            Arc::default(),
            Box::new(|| None),
            watch::Sender::default(),
            Box::new(received),
            Arc::default(),
        );
        relays.set_map(&map);
        Self { tunn, relays, relayed, victim_key, own, victim, seen }
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut spoken = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if let Ok(datagram) = self.relayed.recv_timeout(PAUSE / 4) {
                for answer in self.open(&datagram) {
                    self.relays.send(&self.victim_key, &answer);
                }
            }
            if spoken.elapsed() >= PAUSE {
                spoken = Instant::now();
                self.speak();
            }
        }
    }

    /// Takes in a datagram of the tunnel, on whichever way it came; returns what answers it.
    fn open(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let (mut buffer, mut answers) = (vec![0; BUFFER], Vec::new());
        let mut input = datagram;
        loop {
            match self.tunn.decapsulate(None, input, &mut buffer) {
                TunnResult::WriteToNetwork(answer) => answers.push(answer.to_vec()),
                TunnResult::WriteToTunnelV4(packet, _) => {
                    let packet = packet.to_vec();
                    self.take(&packet);
                    return answers;
                }
                TunnResult::Done | TunnResult::Err(_) | TunnResult::WriteToTunnelV6(..) => {
                    return answers;
                }
            }
            input = &[];
        }
    }

    /// Takes in a packet. What is a datagram of the tunnel is answered by the way that it came.
    fn take(&mut self, packet: &[u8]) {
        if packet.len() < HEADERS || packet[9] != 17 {
            return;
        }
        if packet[22..24] != PORT.to_be_bytes() {
            self.seen.plain.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.seen.sealed_twice.fetch_add(1, Ordering::Relaxed);
        for answer in self.open(&packet[HEADERS..]) {
            self.send_inside(&answer);
        }
    }

    /// Data, as nobody sends it but who is heard there: it makes the victim believe in the path.
    fn speak(&mut self) {
        let packet = self.wrapped(9, b"from inside");
        if let Some(message) = self.seal(&packet) {
            self.send_inside(&message);
        }
    }

    /// Sends a datagram of the tunnel from its mesh address, through the tunnel.
    fn send_inside(&mut self, datagram: &[u8]) {
        let packet = self.wrapped(PORT, datagram);
        if let Some(message) = self.seal(&packet) {
            self.relays.send(&self.victim_key, &message);
            self.seen.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A sealed packet; `None` while there is no session, which it then begins.
    fn seal(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = vec![0; packet.len() + 256];
        match self.tunn.encapsulate(packet, &mut buffer) {
            TunnResult::WriteToNetwork(message) if message[0] == 4 => Some(message.to_vec()),
            TunnResult::WriteToNetwork(handshake) => {
                self.relays.send(&self.victim_key, handshake);
                None
            }
            TunnResult::Done
            | TunnResult::Err(_)
            | TunnResult::WriteToTunnelV4(..)
            | TunnResult::WriteToTunnelV6(..) => None,
        }
    }

    /// A UDP datagram from its mesh address to the victim's.
    fn wrapped(&self, port: u16, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(HEADERS + content.len()).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
        packet.extend(self.own.octets());
        packet.extend(self.victim.octets());
        let sum: u32 =
            packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        packet.extend(PORT.to_be_bytes());
        packet.extend(port.to_be_bytes());
        packet.extend((len - 20).to_be_bytes());
        // No checksum: IPv4 allows it.
        packet.extend([0, 0]);
        packet.extend(content);
        packet
    }
}
