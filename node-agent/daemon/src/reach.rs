//! Whether others reach this node at its outer addresses, by the word of members who are outside: a router may grant a port and
//! not forward it.
//!
//! ```text
//!  this node                                    a member elsewhere
//!     │ ── STUN request, over the relay ──────────────▶ │
//!     │ ◀── STUN response that names E, over the relay ─ │   "I send to E now"
//!     │ ◀── the same by UDP, from a new port, to E ───── │   it arrives only if the router forwards E
//! ```
//!
//! A member sends to the outer addresses alone that the map lists for the asking node, which it tries anyway when it has
//! something to say to it: [`MAX_ENDPOINTS`] datagrams of [`PAUSE`] at most. At the first [`MAX_TCP`] of these addresses it also
//! connects to the ports of coordinator and relay, if the map says that they are there, and says over the relay that it tries, and
//! that it is connected.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use control_protocol::key::NodePublic;
use derp::stun::{self, TransactionId};
use futures_util::future::join_all;
use node_agent_core::{endpoint::is_usable, netmap::Netmap};
use tokio::time::timeout;

use crate::{outside, relay::Relays};

/// How long answers of a round are waited for.
const WAIT: Duration = Duration::from_secs(4);
/// Addresses to which a member sends for another.
const MAX_ENDPOINTS: usize = 4;
/// Addresses at which it tries the TCP ports of coordinator and relay, and how long each may take.
const MAX_TCP: usize = 2;
const TCP_WAIT: Duration = Duration::from_secs(3);
/// How often it does so for the same member.
const PAUSE: Duration = Duration::from_secs(10);
/// How long what arrived, or a TCP connection, counts against members of whom nothing did: from a network that lets little out
/// nothing ever does.
const KEPT: Duration = Duration::from_secs(3600);

/// What is known, asked and answered.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When a member last reached this node at an endpoint, where one tried.
    udp: Results,
    /// When one was last connected to a TCP address, where one tried.
    tcp: Results,
    round: Round,
    /// When this node last sent for a member.
    served: HashMap<NodePublic, Instant>,
}

type Results = BTreeMap<SocketAddr, Option<Instant>>;

/// A round that runs: what was asked about which endpoints, to which of them members say they have sent, and where it arrived.
#[derive(Debug, Default)]
struct Round {
    asked: HashSet<TransactionId>,
    endpoints: BTreeSet<SocketAddr>,
    sent: BTreeSet<SocketAddr>,
    arrived: BTreeSet<SocketAddr>,
    /// The TCP addresses of the round, those that members say they try, and those to which they say they are connected.
    tcp: BTreeSet<SocketAddr>,
    tried: BTreeSet<SocketAddr>,
    connected: BTreeSet<SocketAddr>,
}

/// The transaction of the answer "I am connected" to a question with this one, and the other way round.
fn connected(mut transaction: TransactionId) -> TransactionId {
    for byte in &mut transaction {
        *byte = !*byte;
    }
    transaction
}

impl Reach {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a member reached this node there: in the last round, or not long before; `None` if none tried.
    pub(crate) fn reached(&self, endpoint: SocketAddr) -> Option<bool> {
        self.state().udp.get(&endpoint).map(Option::is_some)
    }

    /// The TCP addresses that members tried, and whether one was connected: in the last round, or not long before.
    pub(crate) fn tcp(&self) -> BTreeMap<SocketAddr, bool> {
        self.state().tcp.iter().map(|(address, at)| (*address, at.is_some())).collect()
    }

    /// Takes a datagram; returns whether it was an answer to a question of ours.
    pub(crate) fn handle_datagram(&self, datagram: &[u8]) -> bool {
        self.handle_answer(datagram, |round, endpoint| round.arrived.insert(endpoint))
    }

    fn handle_answer(&self, packet: &[u8], note: impl Fn(&mut Round, SocketAddr) -> bool) -> bool {
        let Ok((transaction, endpoint)) = stun::parse_response(packet) else { return false };
        let mut state = self.state();
        let is_ours = state.round.asked.contains(&transaction);
        if is_ours && state.round.endpoints.contains(&endpoint) {
            note(&mut state.round, endpoint);
        }
        is_ours
    }

    /// Takes a member's word about a TCP address.
    fn handle_tcp_answer(&self, packet: &[u8]) {
        let Ok((transaction, address)) = stun::parse_response(packet) else { return };
        let round = &mut self.state().round;
        if !round.tcp.contains(&address) {
            return;
        }
        if round.asked.contains(&transaction) {
            round.tried.insert(address);
        } else if round.asked.contains(&connected(transaction)) {
            round.connected.insert(address);
        }
    }

    /// Takes a STUN packet that the relay delivered from a node; STUN servers have `seen` this one there. That node's coordinator
    /// and relay have these TCP ports.
    pub(crate) fn handle_relayed(
        &self,
        relays: &Arc<Relays>,
        (netmap, seen, ports): (&Netmap, &[SocketAddr], &[u16]),
        from: &[u8; 32],
        packet: &[u8],
    ) {
        if let Ok(transaction) = stun::parse_request(packet) {
            let asking = NodePublic::from_bytes(*from);
            let endpoints = self.endpoints_for(netmap, seen, asking, Instant::now());
            if !endpoints.is_empty() {
                let tcp = tcp_addresses(&endpoints, ports);
                tokio::spawn(send_to(endpoints, tcp, transaction, *from, Arc::clone(relays)));
            }
        } else {
            self.handle_tcp_answer(packet);
            self.handle_answer(packet, |round, endpoint| round.sent.insert(endpoint));
        }
    }

    /// The outer addresses of a member that asks; none if it is no peer, has just asked, or may be in the same place as this
    /// node, which then proves nothing.
    fn endpoints_for(
        &self,
        netmap: &Netmap,
        seen: &[SocketAddr],
        asking: NodePublic,
        now: Instant,
    ) -> Vec<SocketAddr> {
        let mut state = self.state();
        state.served.retain(|_, at| now.duration_since(*at) < PAUSE);
        if state.served.contains_key(&asking) {
            return Vec::new();
        }
        let Some(peer) = netmap.active_peers().find(|peer| peer.key == asking) else {
            return Vec::new();
        };
        let is_elsewhere = |address: SocketAddr| {
            let mut own = seen.iter().filter(|own| own.is_ipv4() == address.is_ipv4()).peekable();
            own.peek().is_some() && own.all(|own| own.ip() != address.ip())
        };
        let is_served = |at: &SocketAddr| is_usable(*at) && is_outer(at.ip()) && is_elsewhere(*at);
        let endpoints: Vec<_> =
            peer.endpoints.iter().copied().filter(is_served).take(MAX_ENDPOINTS).collect();
        if !endpoints.is_empty() {
            state.served.insert(asking, now);
        }
        endpoints
    }

    /// Begins a round about these endpoints and TCP addresses; returns a request for each of so many members.
    fn begin(&self, members: usize, endpoints: &[SocketAddr], tcp: &[SocketAddr]) -> Vec<Vec<u8>> {
        let mut transactions = vec![TransactionId::default(); members];
        if transactions.iter_mut().any(|it| getrandom::fill(it).is_err()) {
            return Vec::new();
        }
        let requests = transactions.iter().map(|it| stun::request(*it)).collect();
        let asked = transactions.into_iter().collect();
        // An answer does not say which of the two it means.
        let tcp = tcp.iter().copied().filter(|address| !endpoints.contains(address)).collect();
        let endpoints = endpoints.iter().copied().collect();
        self.state().round = Round { asked, endpoints, tcp, ..Round::default() };
        requests
    }

    /// Makes a round; returns whether a member tried one of the endpoints. TCP addresses are tried with endpoints alone.
    pub(crate) async fn ask(
        &self,
        relays: &Relays,
        members: &[NodePublic],
        endpoints: &[SocketAddr],
        tcp: &[SocketAddr],
    ) -> bool {
        if !endpoints.is_empty() && !members.is_empty() {
            let requests = self.begin(members.len(), endpoints, tcp);
            for (member, request) in members.iter().zip(&requests) {
                relays.send(member.as_bytes(), request);
            }
            tokio::time::sleep(WAIT).await;
        }
        self.end(endpoints, tcp, Instant::now())
    }

    /// Ends the round, and judges the endpoints of this node that a member tried; returns whether there is one.
    fn end(&self, endpoints: &[SocketAddr], tcp: &[SocketAddr], now: Instant) -> bool {
        let mut state = self.state();
        let Round { sent, arrived, tried, connected, .. } = std::mem::take(&mut state.round);
        // Some arrived whose sender's word was lost.
        let sent: BTreeSet<_> = sent.union(&arrived).copied().collect();
        note(&mut state.udp, endpoints, &sent, &arrived, now);
        note(&mut state.tcp, tcp, &tried, &connected, now);
        endpoints.iter().any(|endpoint| sent.contains(endpoint))
    }
}

/// Notes where members `tried` and `reached` this node; forgets what is no address of it any more, and what is too long ago.
fn note(
    results: &mut Results,
    own: &[SocketAddr],
    tried: &BTreeSet<SocketAddr>,
    reached: &BTreeSet<SocketAddr>,
    now: Instant,
) {
    let is_kept = |last: Option<Instant>| last.is_none_or(|at| now.duration_since(at) < KEPT);
    results.retain(|address, last| own.contains(address) && is_kept(*last));
    for address in tried.iter().filter(|address| own.contains(address)) {
        let last = results.entry(*address).or_default();
        if reached.contains(address) {
            *last = Some(now);
        }
    }
}

/// Whether an address is one of the internet, and not of some network's inside.
fn is_outer(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_link_local()),
        IpAddr::V6(v6) => !(v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

/// These ports at the first of the asking node's outer addresses.
fn tcp_addresses(endpoints: &[SocketAddr], ports: &[u16]) -> Vec<SocketAddr> {
    let mut outer: Vec<_> = endpoints.iter().map(SocketAddr::ip).collect();
    outer.dedup();
    outer.truncate(MAX_TCP);
    outer.iter().flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(*ip, *port))).collect()
}

/// Sends to each endpoint from a port that no router knows, connects to each TCP address, and tells the asking node so over the
/// relay.
async fn send_to(
    endpoints: Vec<SocketAddr>,
    tcp: Vec<SocketAddr>,
    transaction: TransactionId,
    asking: [u8; 32],
    relays: Arc<Relays>,
) {
    for endpoint in endpoints {
        let from: SocketAddr = match endpoint {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let packet = stun::response(transaction, endpoint);
        let Ok(socket) = outside::udp(from).await else { continue };
        if socket.send_to(&packet, endpoint).await.is_ok() {
            relays.send(&asking, &packet);
        }
    }
    let connect = |address| {
        let (relays, said) = (Arc::clone(&relays), connected(transaction));
        relays.send(&asking, &stun::response(transaction, address));
        async move {
            if let Ok(Ok(_)) = timeout(TCP_WAIT, outside::connect(address)).await {
                relays.send(&asking, &stun::response(said, address));
            }
        }
    };
    join_all(tcp.into_iter().map(connect)).await;
}

#[cfg(test)]
mod tests;
