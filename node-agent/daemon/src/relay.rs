//! Relay client: packets for peers without a direct path.
//!
//! The node stays connected to its home region, and connects to other peers' home regions on demand. Queues are bounded;
//! dropped packets are counted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, RwLock},
    time::{Duration, Instant},
};

use control_protocol::{
    key::{NodePrivate, NodePublic},
    map::{DerpMap, DerpRegion, RegionId},
};
use node_agent_core::{
    drops::{Cause, Drops},
    netmap::TunnelPeer,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
};

use crate::{backoff::Backoff, dns::forward::Forwarder};

mod connection;
mod queue;
mod restart;
mod tls;

pub use connection::FromRelay;
use connection::{Connection, ConnectionEnd};
use queue::{Queue, queue};

/// Pause between attempts to reach a restarting relay.
const AGAIN: Duration = Duration::from_millis(500);
/// How long an idle connection to a region other than home is kept.
const IDLE: Duration = Duration::from_secs(300);
/// Failed attempts before another home region is chosen.
const HOME_ATTEMPTS: u32 = 3;

/// Handles what a relay says of a peer.
pub type RelayHandler = Box<dyn Fn(&[u8; 32], FromRelay<'_>) + Send + Sync>;

/// Returns the authorities, in PEM, for relays without a pin; `None` stands for those that this machine trusts.
pub type AuthoritiesSource = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// This node's home region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeRegion {
    /// Its number.
    pub region: RegionId,
    /// Its name.
    pub name: String,
    /// Whether the connection is open.
    pub connected: bool,
}

/// All relays of the map. Dropping it closes every connection.
pub struct Relays {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    private: NodePrivate,
    forwarder: Arc<Forwarder>,
    authorities: AuthoritiesSource,
    received: RelayHandler,
    home: watch::Sender<Option<HomeRegion>>,
    drops: Arc<Drops>,
    /// The home region of each peer.
    routes: RwLock<HashMap<NodePublic, RegionId>>,
    regions: Mutex<Regions>,
    /// Wakes every connection: connect again.
    again: Notify,
}

#[derive(Default)]
struct Regions {
    /// Regions with a relay that can be authenticated.
    known: BTreeMap<RegionId, DerpRegion>,
    open: HashMap<RegionId, OpenRegion>,
}

struct OpenRegion {
    queue: queue::Sender,
    task: AbortHandle,
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.close();
    }
}

impl Relays {
    /// A client without relays. `drops` counts packets that no relay takes.
    pub fn new(
        runtime: Handle,
        private: NodePrivate,
        forwarder: Arc<Forwarder>,
        authorities: AuthoritiesSource,
        home: watch::Sender<Option<HomeRegion>>,
        received: RelayHandler,
        drops: Arc<Drops>,
    ) -> Self {
        runtime.spawn_blocking(tls::prepare);
        let inner = Inner {
            runtime,
            private,
            forwarder,
            authorities,
            received,
            home,
            drops,
            routes: RwLock::default(),
            regions: Mutex::default(),
            again: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes the relays of a map: closes connections to removed or changed ones, and chooses a home.
    pub fn set_map(&self, map: &DerpMap) {
        let known = usable(map);
        let Ok(mut regions) = self.inner.regions.lock() else { return };
        let regions = &mut *regions;
        regions.open.retain(|id, open| {
            let same = known.get(id).is_some_and(|region| regions.known.get(id) == Some(region));
            if !same {
                open.task.abort();
            }
            same
        });
        regions.known = known;
        let current = self.inner.home_region();
        let home = current.filter(|id| regions.known.contains_key(id));
        match home.or_else(|| first(&regions.known)) {
            Some(id) => self.inner.make_home(regions, id),
            None => self.inner.no_home(),
        }
    }

    /// Connects again at once, since this machine's network changed. Queued packets wait for the new connections.
    pub fn reconnect(&self) {
        self.inner.again.notify_waiters();
    }

    /// Closes every connection and forgets all relays.
    pub fn close(&self) {
        if let Ok(mut regions) = self.inner.regions.lock() {
            regions.known.clear();
            regions.open.drain().for_each(|(_, open)| open.task.abort());
        }
        self.inner.no_home();
    }

    /// Takes the peers' home regions.
    pub fn set_peers(&self, peers: &[TunnelPeer]) {
        if let Ok(mut routes) = self.inner.routes.write() {
            *routes = peers.iter().filter_map(|peer| Some((peer.key, peer.home_region?))).collect();
        }
    }

    /// Queues a packet; drops it if the queue is full or no relay is known.
    pub fn send(&self, to: &[u8; 32], packet: &[u8]) {
        let to = NodePublic::from_bytes(*to);
        match self.inner.queue_to(&to) {
            Some(queue) => queue.push(to, packet),
            None => self.inner.drops.count(Cause::Relay),
        }
    }
}

impl Inner {
    /// The queue of the peer's home region, or of our own; `None` if no relay is known.
    fn queue_to(self: &Arc<Self>, to: &NodePublic) -> Option<queue::Sender> {
        let route = self.routes.read().ok().and_then(|routes| routes.get(to).copied());
        let mut regions = self.regions.lock().ok()?;
        let route = route.filter(|id| regions.known.contains_key(id));
        let id = route.or_else(|| self.home_region())?;
        Some(self.open(&mut regions, id))
    }

    fn home_region(&self) -> Option<RegionId> {
        self.home.borrow().as_ref().map(|home| home.region)
    }

    fn no_home(&self) {
        self.home.send_if_modified(|home| home.take().is_some());
    }

    fn make_home(self: &Arc<Self>, regions: &mut Regions, id: RegionId) {
        if self.home_region() != Some(id) {
            let name = regions.known.get(&id).map(|r| r.region_name.clone()).unwrap_or_default();
            self.home.send_replace(Some(HomeRegion { region: id, name, connected: false }));
            // A connection that was made on demand did not announce itself as home.
            if let Some(open) = regions.open.remove(&id) {
                open.task.abort();
            }
        }
        self.open(regions, id);
    }

    fn open(self: &Arc<Self>, regions: &mut Regions, id: RegionId) -> queue::Sender {
        if let Some(open) = regions.open.get(&id).filter(|open| !open.queue.is_closed()) {
            return open.queue.clone();
        }
        // The previous connection may have ended without clearing this.
        self.set_connected(id, false);
        let (queue, outgoing) = queue(Arc::clone(&self.drops));
        let task = self.runtime.spawn(Arc::clone(self).carry(id, outgoing)).abort_handle();
        regions.open.insert(id, OpenRegion { queue: queue.clone(), task });
        queue
    }

    /// Keeps one region connected: for good if it is home, else while it is used. Begins again after each change of the network.
    async fn carry(self: Arc<Self>, id: RegionId, mut outgoing: Queue) {
        loop {
            tokio::select! {
                () = self.carry_until_change(id, &mut outgoing) => return,
                () = self.again.notified() => self.set_connected(id, false),
            }
        }
    }

    async fn carry_until_change(self: &Arc<Self>, id: RegionId, outgoing: &mut Queue) {
        let backoff = Backoff::default();
        let mut failures = 0;
        // Until when failures to reach a restarting relay are ignored.
        let mut tolerated_until: Option<Instant> = None;
        loop {
            let Some(region) = self.region(id) else { return };
            let home = self.home_region() == Some(id);
            let ca = (self.authorities)();
            let opened =
                Connection::open(&region, &self.private, &self.forwarder, ca.as_deref()).await;
            match opened {
                Ok(connection) => {
                    tracing::info!(region = id, home, "relay connected");
                    failures = 0;
                    backoff.reset();
                    let begun = Instant::now();
                    match self.carry_over(connection, id, home, outgoing).await {
                        Ok(ConnectionEnd::Idle) => return,
                        Ok(ConnectionEnd::Restarts(restart)) => {
                            tracing::info!(region = id, "relay restarts");
                            if let Some(restart) = restart.after(begun.elapsed()) {
                                tokio::time::sleep(restart.wait).await;
                                tolerated_until = Some(Instant::now() + restart.grace);
                                continue;
                            }
                        }
                        Err(error) => tracing::info!(region = id, %error, "relay disconnected"),
                    }
                }
                Err(error) if tolerated_until.is_some_and(|until| Instant::now() < until) => {
                    tracing::debug!(region = id, %error, "relay not reachable yet");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(error) => {
                    failures += 1;
                    tracing::info!(region = id, %error, "relay not reachable");
                    if !home && failures >= HOME_ATTEMPTS {
                        return;
                    }
                    if home && failures >= HOME_ATTEMPTS && self.move_home(id) {
                        return;
                    }
                }
            }
            tolerated_until = None;
            backoff.wait().await;
        }
    }

    /// Carries packets over an open connection, to its end.
    async fn carry_over(
        &self,
        connection: Connection,
        id: RegionId,
        home: bool,
        outgoing: &mut Queue,
    ) -> std::io::Result<ConnectionEnd> {
        self.set_connected(id, true);
        let received = |peer: &NodePublic, what: FromRelay<'_>| {
            (self.received)(peer.as_bytes(), what);
        };
        let idle = (!home).then_some(IDLE);
        let ended = connection.run(outgoing, home, idle, received).await;
        self.set_connected(id, false);
        ended
    }

    fn region(&self, id: RegionId) -> Option<DerpRegion> {
        self.regions.lock().ok()?.known.get(&id).cloned()
    }

    fn set_connected(&self, id: RegionId, connected: bool) {
        self.home.send_if_modified(|home| match home {
            Some(home) if home.region == id && home.connected != connected => {
                home.connected = connected;
                true
            }
            Some(_) | None => false,
        });
    }

    /// Makes the next region home, if there is another; returns whether.
    fn move_home(self: &Arc<Self>, id: RegionId) -> bool {
        let Ok(mut regions) = self.regions.lock() else { return false };
        let mut after = regions.known.range(id + 1..).chain(regions.known.range(..id));
        let Some(next) = after.next().map(|(id, _)| *id) else { return false };
        regions.open.remove(&id);
        self.make_home(&mut regions, next);
        true
    }
}

/// Regions with a relay that can be authenticated.
fn usable(map: &DerpMap) -> BTreeMap<RegionId, DerpRegion> {
    let mut known = BTreeMap::new();
    for (id, region) in &map.regions {
        let provable = |node: &control_protocol::map::DerpNode| {
            !node.stun_only && tls::expected_identity(node).is_some()
        };
        if region.nodes.iter().any(provable) {
            known.insert(*id, region.clone());
        } else {
            tracing::warn!(
                region = id,
                "no relay of this region can be authenticated (by a name, or by CertName sha256-raw:…): the region is not used"
            );
        }
    }
    known
}

fn first(known: &BTreeMap<RegionId, DerpRegion>) -> Option<RegionId> {
    let willing = known.iter().find(|(_, region)| !region.avoid && !region.no_measure_no_home);
    willing.or_else(|| known.iter().next()).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use control_protocol::map::DerpNode;

    use super::*;

    fn map(nodes: &[(RegionId, &str, bool)]) -> DerpMap {
        let regions = nodes.iter().map(|(id, cert_name, avoid)| {
            let node = DerpNode { cert_name: (*cert_name).to_owned(), ..DerpNode::default() };
            let region = DerpRegion {
                region_id: *id,
                avoid: *avoid,
                nodes: vec![node],
                ..DerpRegion::default()
            };
            (*id, region)
        });
        DerpMap { regions: regions.collect(), ..DerpMap::default() }
    }

    fn pin() -> String {
        format!("sha256-raw:{}", "ab".repeat(32))
    }

    #[test]
    fn only_relays_that_can_be_proved_are_used_whatever_else_the_map_allows() {
        let pin = pin();
        let mut map = map(&[
            (1, "", false),
            (2, &pin, false),
            (3, "sha256-raw:short", false),
            (4, "", false),
        ]);
        // The first has neither a pin nor a name.
        map.regions.get_mut(&1).unwrap().nodes[0].insecure_for_tests = true;
        map.regions.get_mut(&4).unwrap().nodes[0].host_name = "derp.example.org".to_owned();
        assert_eq!(usable(&map).into_keys().collect::<Vec<_>>(), [2, 4]);
    }

    #[tokio::test]
    async fn a_home_whose_relay_changes_is_not_connected_until_it_is_again() {
        let (home, key) = (watch::Sender::default(), NodePrivate::generate().unwrap());
        let relays = Relays::new(
            Handle::current(),
            key,
            Arc::default(),
            Box::new(|| None),
            home.clone(),
            Box::new(|_, _| ()),
            Arc::default(),
        );
        relays.set_map(&map(&[(1, &pin(), false)]));
        relays.inner.set_connected(1, true);

        relays.set_map(&map(&[(1, &pin(), false)]));
        assert!(home.borrow().as_ref().is_some_and(|home| home.connected), "nothing changed");

        relays.set_map(&map(&[(1, &format!("sha256-raw:{}", "cd".repeat(32)), false)]));
        let expected = HomeRegion { region: 1, name: String::new(), connected: false };
        assert_eq!(*home.borrow(), Some(expected));
    }

    #[tokio::test]
    async fn what_no_relay_takes_is_counted() {
        let (key, drops) = (NodePrivate::generate().unwrap(), Arc::<Drops>::default());
        let relays = Relays::new(
            Handle::current(),
            key,
            Arc::default(),
            Box::new(|| None),
            watch::Sender::default(),
            Box::new(|_, _| ()),
            Arc::clone(&drops),
        );
        let counted = || drops.snapshot()[Cause::Relay.name()];
        relays.send(&[1; 32], b"packet");
        assert_eq!(counted(), 1, "none is known");

        relays.set_map(&map(&[(1, &pin(), false)]));
        relays.send(&[1; 32], b"packet");
        assert_eq!(counted(), 1, "it waits");
        relays.close();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(counted(), 2, "nobody will take it");
    }

    #[test]
    fn the_first_region_that_wants_to_be_is_home() {
        let pin = pin();
        assert_eq!(first(&usable(&map(&[(1, &pin, true), (2, &pin, false)]))), Some(2));
        assert_eq!(first(&usable(&map(&[(1, &pin, true)]))), Some(1));
        assert_eq!(first(&usable(&map(&[]))), None);
    }
}
