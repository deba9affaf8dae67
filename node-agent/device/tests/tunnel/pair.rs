//! Two devices on two machines joined by a cable, and a relay made of a channel.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use control_protocol::{
    key::DiscoPrivate,
    map::{FilterRule, NetPortRange, PortRange},
};
use lab::Machine;
use node_agent_core::filter::PacketFilter;
use testkit::blocking::eventually_within;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};
use wireguard_device::{Config, Device, Host, Offload, Path, Peer};

use crate::ping::Ping;

pub(crate) const PORT: u16 = 41641;
pub(crate) const MTU: u16 = 1280;

type Key = [u8; 32];
type Datagrams = Vec<(SocketAddr, Vec<u8>)>;
type RelayedPacket = (Key, Key, Vec<u8>);

/// Delivers what one device gives it to the other.
pub(crate) struct Relay {
    queue: Mutex<mpsc::Sender<RelayedPacket>>,
    devices: Mutex<Vec<(Key, Weak<Device>)>>,
    pub(crate) delivered: AtomicUsize,
    pub(crate) is_up: AtomicBool,
}

impl Relay {
    pub(crate) fn start() -> Arc<Self> {
        let (sender, receiver) = mpsc::channel::<RelayedPacket>();
        let relay = Arc::new(Self {
            queue: Mutex::new(sender),
            devices: Mutex::default(),
            delivered: AtomicUsize::new(0),
            is_up: AtomicBool::new(true),
        });
        let carrier = Arc::downgrade(&relay);
        thread::spawn(move || {
            for (from, to, packet) in receiver {
                let Some(relay) = carrier.upgrade() else { return };
                if !relay.is_up.load(Ordering::Relaxed) {
                    continue;
                }
                relay.delivered.fetch_add(1, Ordering::Relaxed);
                let device = {
                    let devices = relay.devices.lock().unwrap();
                    devices
                        .iter()
                        .find(|(key, _)| *key == to)
                        .and_then(|(_, device)| device.upgrade())
                };
                if let Some(device) = device {
                    device.handle_relayed(&from, &packet);
                }
            }
        });
        relay
    }
}

struct RelayHost {
    key: Key,
    relay: Arc<Relay>,
    foreign: Arc<Mutex<Datagrams>>,
}

impl Host for RelayHost {
    fn relay(&self, to: &Key, packet: &[u8]) {
        let _ = self.relay.queue.lock().unwrap().send((self.key, *to, packet.to_vec()));
    }

    fn foreign(&self, from: SocketAddr, packet: &[u8]) {
        self.foreign.lock().unwrap().push((from, packet.to_vec()));
    }
}

/// A machine with a device.
pub(crate) struct Side {
    pub(crate) machine: Machine,
    pub(crate) device: Arc<Device>,
    pub(crate) key: Key,
    /// In the tunnel.
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
    /// On the cable.
    pub(crate) under_v4: SocketAddr,
    pub(crate) under_v6: SocketAddr,
    pub(crate) foreign: Arc<Mutex<Datagrams>>,
    /// Its disco key, of which the peer knows only in [`Side::know_by_disco`].
    pub(crate) discovery: DiscoPrivate,
}

/// Two of them.
pub(crate) struct Pair {
    pub(crate) a: Side,
    pub(crate) b: Side,
    pub(crate) relay: Arc<Relay>,
}

impl Pair {
    /// Machines with devices; no peers yet, all is allowed.
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, [Offload::AUTO; 2])
    }

    /// As [`Self::new`], with these offloads.
    pub(crate) fn with(name: &str, offload: [Offload; 2]) -> Self {
        Self::start(cabled(name), offload)
    }

    /// Devices with all offloads on machines that reach each other over a router.
    pub(crate) fn across(router: &Machine, name: &str) -> Self {
        show_logs();
        let machines = ["a", "b"].map(|side| Machine::new(&format!("wg-{name}-{side}")).unwrap());
        let [a, b] = &machines;
        lab::link((a, "eth0", "192.168.77.1/31"), (router, "eth0", "192.168.77.0/31")).unwrap();
        lab::link((b, "eth0", "192.168.77.2/31"), (router, "eth1", "192.168.77.3/31")).unwrap();
        a.sh("ip route add default via 192.168.77.0").unwrap();
        b.sh("ip route add default via 192.168.77.3").unwrap();
        router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward").unwrap();
        Self::start(machines, [Offload::AUTO; 2])
    }

    fn start([a, b]: [Machine; 2], [of_a, of_b]: [Offload; 2]) -> Self {
        let relay = Relay::start();
        let (a, b) = (Side::start(a, 1, &relay, of_a), Side::start(b, 2, &relay, of_b));
        Self { a, b, relay }
    }

    /// Makes the two peers of each other; each knows the other's address or not.
    pub(crate) fn connect(&self, a_knows_b: bool, b_knows_a: bool) {
        self.a.know(&self.b, a_knows_b);
        self.b.know(&self.a, b_knows_a);
    }

    pub(crate) fn relayed(&self) -> usize {
        self.relay.delivered.load(Ordering::Relaxed)
    }

    /// Waits until both sides' paths are `wanted`.
    pub(crate) fn wait_for(&self, limit_s: u64, wanted: impl Fn(Path) -> bool) -> Duration {
        let start = Instant::now();
        eventually_within(Duration::from_secs(limit_s), "the wanted paths", || {
            let paths = [self.a.path(), self.b.path()];
            if paths.into_iter().all(&wanted) { Ok(()) } else { Err(paths) }
        });
        start.elapsed()
    }
}

/// From now on what does not go directly does not arrive.
pub(crate) fn close_relay(pair: &Pair) {
    pair.relay.is_up.store(false, Ordering::Relaxed);
}

pub(crate) fn is_direct(path: Path) -> bool {
    matches!(path, Path::Direct(_))
}

/// Two machines joined by a cable that carries both families.
pub(crate) fn cabled(name: &str) -> [Machine; 2] {
    show_logs();
    let machines = ["a", "b"].map(|side| Machine::new(&format!("wg-{name}-{side}")).unwrap());
    let [a, b] = &machines;
    lab::link((a, "eth0", "192.168.77.1/24"), (b, "eth0", "192.168.77.2/24")).unwrap();
    for (at, machine) in machines.iter().enumerate() {
        machine.sh(&format!("ip addr add fd00:77::{}/64 dev eth0 nodad", at + 1)).unwrap();
    }
    machines
}

impl Side {
    pub(crate) fn start(
        machine: Machine,
        number: u8,
        relay: &Arc<Relay>,
        offload: Offload,
    ) -> Self {
        let private_key = [number; 32];
        let secret = boringtun::x25519::StaticSecret::from(private_key);
        let key = boringtun::x25519::PublicKey::from(&secret).to_bytes();
        let foreign = Arc::default();
        let host = RelayHost { key, relay: Arc::clone(relay), foreign: Arc::clone(&foreign) };
        let discovery = DiscoPrivate::from_bytes([100 + number; 32]);
        let config = Config {
            interface: "maru0".into(),
            mtu: MTU,
            listen_port: PORT,
            mark: None,
            private_key,
            discovery_key: *discovery.as_bytes(),
            roams: false,
            offload,
        };
        let device = machine.in_network(|| Device::start(config, Arc::new(host))).unwrap();
        let device = Arc::new(device);
        relay.devices.lock().unwrap().push((key, Arc::downgrade(&device)));
        let side = Self {
            machine,
            device,
            key,
            v4: format!("100.64.0.{number}").parse().unwrap(),
            v6: format!("fd7a:115c:a1e0::{number}").parse().unwrap(),
            under_v4: format!("192.168.77.{number}:{PORT}").parse().unwrap(),
            under_v6: format!("[fd00:77::{number}]:{PORT}").parse().unwrap(),
            foreign,
            discovery,
        };
        side.up();
        side.allow_all();
        side
    }

    /// What the agent does by netlink.
    pub(crate) fn up(&self) {
        let script = format!(
            "ip addr replace {}/32 dev maru0; ip addr replace {}/128 dev maru0 nodad; ip link set maru0 up;
             ip route replace 100.64.0.0/10 dev maru0; ip route replace fd7a:115c:a1e0::/48 dev maru0",
            self.v4, self.v6
        );
        self.machine.sh(&script).unwrap();
    }

    pub(crate) fn know(&self, other: &Self, with_address: bool) {
        let candidates = if with_address { vec![other.under_v4] } else { vec![] };
        self.know_at(other, candidates);
    }

    pub(crate) fn know_at(&self, other: &Self, candidates: Vec<SocketAddr>) {
        self.know_with([0; 32], other, candidates);
    }

    /// As [`Self::know_at`], with the other's disco key.
    pub(crate) fn know_by_disco(&self, other: &Self, candidates: Vec<SocketAddr>) {
        self.know_with(*other.discovery.public().as_bytes(), other, candidates);
    }

    fn know_with(&self, discovery_key: Key, other: &Self, candidates: Vec<SocketAddr>) {
        let allowed_ips = vec![other.v4.into(), other.v6.into()];
        self.device.set_peers(vec![Peer {
            public_key: other.key,
            discovery_key,
            allowed_ips,
            candidates,
        }]);
    }

    pub(crate) fn allow_all(&self) {
        self.allow(&[rule("*", "*", 0, u16::MAX, &[])]);
    }

    pub(crate) fn allow(&self, rules: &[FilterRule]) {
        let local = [self.v4.into(), self.v6.into()];
        self.device.set_filter(Arc::new(PacketFilter::compile(rules, &local)));
    }

    pub(crate) fn path(&self) -> Path {
        self.device.peer_stats().first().map_or(Path::None, |peer| peer.path)
    }

    /// How many of `count` pings, 0.1 s apart, are answered.
    pub(crate) fn ping(&self, to: IpAddr, count: u16) -> u32 {
        self.ping_with(self.to(to, count))
    }

    pub(crate) fn ping_with(&self, ping: Ping) -> u32 {
        self.machine.in_network(|| ping.run())
    }

    /// Pings as [`Self::ping`] sends them.
    pub(crate) fn to(&self, to: IpAddr, count: u16) -> Ping {
        let from = if to.is_ipv4() { self.v4 } else { self.v6 };
        let interval = Duration::from_millis(100);
        Ping { from, to, count, interval, size: 56, fragment: true }
    }

    /// Answers every connection and datagram on `port` with what it sent.
    pub(crate) fn serve_echo(&self, port: u16) {
        for address in [self.v4, self.v6] {
            let (tcp, udp) = self.machine.in_network(|| {
                (
                    TcpListener::bind((address, port)).unwrap(),
                    UdpSocket::bind((address, port)).unwrap(),
                )
            });
            thread::spawn(move || {
                for stream in tcp.incoming().flatten() {
                    thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
                }
            });
            thread::spawn(move || {
                let mut buffer = [0; 65536];
                while let Ok((len, from)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(&buffer[..len], from);
                }
            });
        }
    }

    /// Opens a TCP connection within `seconds`.
    pub(crate) fn dial(&self, to: IpAddr, port: u16, seconds: u64) -> std::io::Result<TcpStream> {
        let limit = Duration::from_secs(seconds);
        let stream =
            self.machine.in_network(|| TcpStream::connect_timeout(&(to, port).into(), limit))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(stream)
    }

    /// A UDP socket towards `to`.
    pub(crate) fn udp(&self, to: IpAddr, port: u16) -> UdpSocket {
        let socket = self.machine.in_network(|| {
            let socket =
                UdpSocket::bind((if to.is_ipv4() { self.v4 } else { self.v6 }, 0)).unwrap();
            socket.connect((to, port)).unwrap();
            socket
        });
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket
    }
}

/// Sends `len` bytes to an echo service and compares what comes back.
pub(crate) fn echo_stream(stream: &TcpStream, len: usize) {
    let sent: Vec<u8> = (0..len).map(|at| (at * 7 + at / 256) as u8).collect();
    let mut received = vec![0; len];
    thread::scope(|scope| {
        scope.spawn(|| (&mut &*stream).write_all(&sent).unwrap());
        (&mut &*stream).read_exact(&mut received).unwrap();
    });
    assert!(sent == received, "{len} bytes came back changed");
}

/// Whether one datagram of `len` bytes is echoed.
pub(crate) fn echo_datagram(socket: &UdpSocket, len: usize) -> bool {
    let sent = vec![0x5a; len];
    socket.send(&sent).unwrap();
    let mut received = vec![0; 65536];
    socket.recv(&mut received).is_ok_and(|n| received[..n] == sent)
}

pub(crate) fn rule(
    source: &str,
    destination: &str,
    first: u16,
    last: u16,
    protocols: &[i64],
) -> FilterRule {
    let to = NetPortRange { ip: destination.into(), bits: None, ports: PortRange { first, last } };
    FilterRule {
        src_ips: vec![source.into()],
        dst_ports: vec![to],
        ip_proto: protocols.to_vec(),
        ..FilterRule::default()
    }
}

fn show_logs() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if let Ok(filter) = std::env::var("RUST_LOG") {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
            let _ = tracing_subscriber::registry()
                .with(filter.parse::<Targets>().unwrap_or_default())
                .with(lines)
                .try_init();
        }
    });
}
