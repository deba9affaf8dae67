//! The device: a handle to its threads.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use boringtun::{
    noise::rate_limiter::RateLimiter,
    x25519::{PublicKey, StaticSecret},
};
use node_agent_core::{
    drops::{Cause, Drops},
    filter::{Flows, PacketFilter},
    path::Source,
};

use crate::{
    Config, Error, Host, LocalPorts, Offload, Peer, PeerStats,
    disco::Disco,
    gate::Gate,
    inbound,
    offload::{self, OffloadState},
    outbound,
    outgoing::Outgoing,
    peer, ping,
    pings::Ping,
    protocol::wireguard::WireGuard,
    shared::Shared,
    sys::{Stop, lock, random_u32},
    table::Table,
    tun::Tun,
    udp::Sockets,
};

/// Interval of the timers.
const TICK: Duration = Duration::from_millis(250);
/// Receiver indexes carry this many bits of the peer's.
const INDEX_MASK: u32 = (1 << 24) - 1;
/// Valid MTUs of the tunnel; IPv6 needs 1280.
const MTU: std::ops::RangeInclusive<u16> = 576..=9000;

/// A running WireGuard device. Dropping it stops its threads and removes the interface. A [`Host`] callback must not drop it.
pub struct Device {
    shared: Arc<Shared>,
    private: StaticSecret,
    roams: bool,
    /// Limits nothing: [`Gate`] does.
    limiter: Arc<RateLimiter>,
    /// The next peer's index; held while peers are replaced.
    next_index: Mutex<u32>,
    threads: Vec<JoinHandle<()>>,
}

impl Device {
    /// Creates the interface (down, without address), binds the sockets, starts the threads, all
    /// in the caller's network namespace.
    ///
    /// Without a filter ([`Self::set_filter`]) no packet is allowed.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is left behind.
    pub fn start(config: Config, host: Arc<dyn Host>) -> Result<Self, Error> {
        Self::start_on(None, config, host)
    }

    /// Like [`Self::start`], with an open `/dev/net/tun`. If the caller keeps a duplicate of the descriptor, the interface
    /// outlives the device: the next one on it adopts the interface ([`Self::is_adopted`]), with addresses and routes.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is left behind.
    pub fn start_on(
        tun: Option<OwnedFd>,
        config: Config,
        host: Arc<dyn Host>,
    ) -> Result<Self, Error> {
        if !MTU.contains(&config.mtu) {
            return Err(Error::Config("the tunnel's MTU must be 576 to 9000"));
        }
        let private = StaticSecret::from(config.private_key);
        let switches = OffloadState::new(config.offload);
        let shared = Arc::new(Shared {
            sockets: Sockets::bind(config.listen_port, config.mark, &switches)?,
            tun: Tun::create(tun, &config.interface, config.mtu, &switches)?,
            switches,
            stop: Stop::new().map_err(Error::Threads)?,
            host,
            gate: Gate::new(private.clone()),
            disco: Arc::new(Disco::new(config.discovery_key, config.private_key)),
            table: ArcSwap::default(),
            filter: ArcSwap::default(),
            flows: Mutex::new(Flows::new(Instant::now())),
            drops: Arc::default(),
            pings: Arc::default(),
            inboxes: Mutex::default(),
        });
        let limiter = Arc::new(RateLimiter::new(&PublicKey::from(&private), u64::MAX));
        let next_index = Mutex::new(random_u32() & INDEX_MASK);
        let roams = config.roams;
        let mut device = Self { shared, private, roams, limiter, next_index, threads: Vec::new() };
        device.spawn("maru-tun-to-udp", outbound::run)?;
        device.spawn("maru-udp-to-tun", inbound::run)?;
        device.spawn("maru-wg-timers", tick)?;
        Ok(device)
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared)) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        self.threads.push(thread.map_err(Error::Threads)?);
        Ok(())
    }

    /// Replaces the peers. Sessions of unchanged keys are kept; a removed peer is cut off at once. Of two peers with one prefix,
    /// the later gets it.
    pub fn set_peers(&self, peers: Vec<Peer>) {
        let mut next_index = lock(&self.next_index);
        let old = self.shared.table.load_full();
        let mut table = Table::default();
        for wanted in peers {
            let key = wanted.public_key;
            let peer = match old.by_key.get(&key) {
                Some(peer) => Arc::clone(peer),
                None => Arc::new(self.new_peer(&wanted, &old, &mut next_index)),
            };
            peer.set_discovery_key(wanted.discovery_key);
            peer.set_candidates(&wanted.candidates);
            for net in wanted.allowed_ips {
                table.routes.insert(net, Arc::clone(&peer));
            }
            table.by_index.insert(peer.index, Arc::clone(&peer));
            if wanted.discovery_key != [0; 32] {
                let claimants = table.by_discovery.entry(wanted.discovery_key);
                claimants.or_default().push(Arc::clone(&peer));
            }
            table.by_key.insert(key, peer);
        }
        let removed: Vec<_> = old
            .by_key
            .values()
            .filter(|peer| !table.by_key.contains_key(&peer.key))
            .cloned()
            .collect();
        self.shared.table.store(Arc::new(table));
        // Threads that still use the old table find them closed.
        for peer in removed {
            peer.close();
        }
    }

    fn new_peer(&self, wanted: &Peer, old: &Table<peer::Peer>, next_index: &mut u32) -> peer::Peer {
        let key = wanted.public_key;
        while old.by_index.contains_key(next_index) {
            *next_index = (*next_index + 1) & INDEX_MASK;
        }
        let index = *next_index;
        *next_index = (index + 1) & INDEX_MASK;
        let mtu = self.shared.tun.mtu();
        let limiter = Arc::clone(&self.limiter);
        let sessions =
            WireGuard::new(self.private.clone(), key, index, limiter, mtu, Instant::now());
        let disco = Arc::clone(&self.shared.disco);
        let peer = peer::Peer::new(key, wanted.discovery_key, index, Box::new(sessions), disco);
        if self.roams { peer.roaming() } else { peer }
    }

    /// Whether the interface was there before, left by an earlier device.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.shared.tun.is_adopted
    }

    /// Starts a handshake with each peer. After a restart their sessions are lost, of which they would hear late.
    pub fn greet(&self) {
        self.for_each_peer(|peer, out| peer.greet(out, Instant::now()));
    }

    /// Sets the addresses at which this node may be reached: peers are told when they are asked to find a path.
    pub fn set_endpoints(&self, endpoints: Vec<SocketAddr>) {
        if self.shared.disco.set_endpoints(endpoints) {
            self.for_each_peer(|peer, out| peer.call(out, Instant::now()));
        }
    }

    fn for_each_peer(&self, act: impl Fn(&peer::Peer, &mut Outgoing)) {
        let mut out = self.shared.outgoing();
        for peer in self.shared.table.load_full().by_key.values() {
            act(peer, &mut out);
            self.shared.flush(&mut out);
        }
    }

    /// Looks for paths to all peers anew: this machine's network changed, or it slept. Where the keys became too old
    /// meanwhile, a handshake is started.
    pub fn handle_network_change(&self) {
        self.for_each_peer(|peer, out| {
            peer.handle_network_change(out, &mut Vec::new(), Instant::now());
        });
    }

    /// Replaces the packet filter, also for open connections.
    pub fn set_filter(&self, filter: Arc<PacketFilter>) {
        self.shared.filter.store(filter);
    }

    /// Handles a WireGuard or disco message that the relay delivered from the node key `from`, on the caller's thread; never waits for
    /// the network.
    pub fn handle_relayed(&self, from: &[u8; 32], packet: &[u8]) {
        inbound::receive_relayed(&self.shared, from, packet);
    }

    /// Records that the relay could not deliver a message to the peer with the node key `to`, since that is not connected to it. A
    /// handshake that it waits for is repeated after a second, instead of five.
    pub fn handle_undelivered(&self, to: &[u8; 32]) {
        if let Some(peer) = self.shared.table.load().by_key.get(to) {
            peer.handle_undelivered();
        }
    }

    /// Sends a datagram that is neither WireGuard nor disco from the shared sockets (STUN).
    ///
    /// # Errors
    ///
    /// The kernel's, for example when the address family has no route.
    pub fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        self.shared.sockets.send_to(to, packet)
    }

    /// Pings the peer with the mesh address `to` inside the tunnel, from this node's own address `from`. `answer` is called once,
    /// on a packet thread, with the path on which the answer came; it must not block. `None` if no peer has that address, the
    /// addresses are of two families, or too many pings wait.
    pub fn ping(
        &self,
        from: IpAddr,
        to: IpAddr,
        answer: impl FnOnce(Source) + Send + 'static,
    ) -> Option<Ping> {
        ping::send(&self.shared, from, to, Box::new(answer))
    }

    /// Statistics of each peer.
    #[must_use]
    pub fn peer_stats(&self) -> Vec<PeerStats> {
        self.shared.table.load().by_key.values().filter_map(|peer| peer.stats()).collect()
    }

    /// How many packets and datagrams were dropped since the start, by the name of the cause
    /// ([`node_agent_core::drops::Cause`]).
    #[must_use]
    pub fn drops(&self) -> BTreeMap<&'static str, u64> {
        self.shared.drops.snapshot()
    }

    /// The counters, for the [`Host`] to add its own drops.
    #[must_use]
    pub fn drop_counts(&self) -> Arc<Drops> {
        Arc::clone(&self.shared.drops)
    }

    /// Whether all threads run. They end only if another program removes the interface.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// The offloads in force.
    #[must_use]
    pub fn offload(&self) -> Offload {
        self.shared.switches.in_force()
    }

    /// How many segmented sends the kernel refused since the start. Datagrams to such a destination are sent one by one, until
    /// its path changes.
    #[must_use]
    pub fn refused_sends(&self) -> u64 {
        self.shared.sockets.refused.times()
    }

    /// The UDP ports in use.
    #[must_use]
    pub fn local_ports(&self) -> LocalPorts {
        self.shared.sockets.local_ports()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.stop.signal();
        for thread in self.threads.drain(..) {
            // A panic was already printed by its thread.
            let _ = thread.join();
        }
    }
}

/// Runs every peer's timers until the device stops.
fn tick(shared: &Shared) {
    let mut out = shared.outgoing();
    let mut probes = Vec::new();
    let mut resumed_at = Instant::now();
    while shared.stop.wait::<0>([], Some(TICK)).is_some() {
        for peer in shared.table.load_full().by_key.values() {
            let dropped = peer.tick(&mut out, &mut probes, Instant::now());
            shared.drops.add(Cause::NoSession, dropped as u64);
            shared.flush(&mut out);
        }
        if resumed_at.elapsed() >= offload::PAUSE {
            resumed_at = Instant::now();
            shared.switches.resume();
        }
    }
}
