//! The path to a peer that speaks disco.
//!
//! ```text
//!              pong                     no pong for 1 s
//!     Relay ─────────▶ Direct ◀────────────────────────────▶ Doubted: direct, and relay, too
//!       ▲                                   pong                │
//!       └──────────────── no pong for 5 s, or unneeded ─────────┘
//! ```
//!
//! Only a pong proves a path: it answers a ping of ours that still waits, and comes from the address that was pinged. All other
//! messages name candidates, which are pinged. A path in the LAN is preferred and never left while it works; else a path that is
//! clearly faster is taken. A call-me-maybe asks the peer to ping us, which opens its NAT for our pings.
//!
//! While no path is proved, data also goes to the address from which the peer's last came by UDP. The peer may have another disco
//! key than we know, since it started while the coordinator was down, or be too old to answer; and the relay may be down, too.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    candidates::{Candidates, Origin, is_lan, usable},
    event::{PacketKind, Request, Route, Source},
    timing::*,
};
use crate::{disco::TransactionId, endpoint::is_usable};

/// Most pings of ours that wait for a pong.
const MAX_WAITING: usize = 128;
/// The peer's pings remembered, to ignore copies.
const REMEMBERED: usize = 256;
/// Pings of the peer from elsewhere than the address in use that are answered: so many at once, then one per [`PING_COST`].
const PING_BURST: u32 = 64;
const PING_COST: Duration = Duration::from_millis(50);

/// A ping of ours that waits for its pong.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    transaction: TransactionId,
    to: SocketAddr,
    at: Instant,
}

/// The direct path in use.
#[derive(Clone, Copy, Debug)]
struct Current {
    address: SocketAddr,
    latency: Duration,
    pinged_at: Instant,
    /// When the oldest ping was sent that no pong followed.
    unanswered_since: Option<Instant>,
    is_doubted: bool,
}

/// Where the peer seems to hear us, by WireGuard's packets alone. Proves no path: it is used beside the relay.
#[derive(Clone, Copy, Debug)]
struct Answered {
    address: SocketAddr,
    at: Instant,
}

/// The paths to one peer that speaks disco.
#[derive(Clone, Debug, Default)]
pub(super) struct PingedPath {
    current: Option<Current>,
    answered: Option<Answered>,
    candidates: Candidates,
    waiting: VecDeque<Waiting>,
    requests: VecDeque<Request>,
    /// When something last showed that a path is needed.
    wanted_at: Option<Instant>,
    /// When data was last sent.
    sent_at: Option<Instant>,
    /// Searches since the last news.
    searches: u32,
    searched_at: Option<Instant>,
    /// When we last sent, and heeded, a call-me-maybe.
    called_at: Option<Instant>,
    heeded_at: Option<Instant>,
    remembered: VecDeque<TransactionId>,
    /// How much of the budget for pings is used, as the time at which it will be whole.
    budget_used_until: Option<Instant>,
}

fn is_past(at: Option<Instant>, limit: Duration, now: Instant) -> bool {
    at.is_none_or(|at| now.saturating_duration_since(at) >= limit)
}

impl PingedPath {
    /// See [`PeerPath::set_candidates`](super::PeerPath::set_candidates).
    pub(super) fn set_candidates(&mut self, addresses: &[SocketAddr]) {
        if self.candidates.replace(Origin::Map, addresses, self.address()) && !self.is_settled() {
            self.searches = 0;
            self.searched_at = None;
        }
    }

    /// The address of a proved path.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.current.map(|current| current.address)
    }

    /// Whether a path in the LAN works.
    fn is_settled(&self) -> bool {
        self.current.is_some_and(|current| !current.is_doubted && is_lan(current.address))
    }

    /// Whether a direct path works.
    fn works(&self) -> bool {
        self.current.is_some_and(|current| !current.is_doubted)
    }

    pub(super) fn route(&self) -> Route {
        match self.current {
            Some(current) => Route { direct: Some(current.address), relay: current.is_doubted },
            None => Route { direct: self.answered.map(|it| it.address), relay: true },
        }
    }

    /// The map's addresses and the one in use. Those that only the peer named are pinged, no more.
    pub(super) fn fan_out(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let is_listed = |it: &SocketAddr| self.listed().any(|listed| listed == *it);
        self.route().direct.filter(|it| !is_listed(it)).into_iter().chain(self.listed())
    }

    fn listed(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.candidates.iter().filter(|it| it.origin == Origin::Map).map(|it| it.address)
    }

    pub(super) fn handle_received(&mut self, source: Source, heard: PacketKind, now: Instant) {
        match source {
            // The peer may not hear us by UDP; the relay works.
            Source::Relay if heard == PacketKind::Data => {
                if self.answered.is_some_and(|it| is_past(Some(it.at), SILENCE, now)) {
                    self.answered = None;
                }
                if let Some(address) = self.address() {
                    self.ask(address, now);
                }
            }
            Source::Relay => {}
            Source::Udp(address) => {
                if heard.proves_both_ways() && is_usable(address) {
                    self.answered = Some(Answered { address, at: now });
                }
                self.hear(address, now);
            }
        }
    }

    pub(super) fn handle_sent_data(&mut self, now: Instant) {
        self.sent_at = Some(now);
        self.handle_wanted(now);
    }

    /// Records that a path is needed.
    pub(super) fn handle_wanted(&mut self, now: Instant) {
        let was_idle = is_past(self.wanted_at, WANTED, now);
        self.wanted_at = Some(now);
        if was_idle && self.current.is_none() {
            self.search_anew(now);
        }
    }

    /// A sign of life from an address: it becomes a candidate, and is pinged unless the path in use is good.
    fn hear(&mut self, address: SocketAddr, now: Instant) {
        if self.address() == Some(address) {
            return;
        }
        self.candidates.hear(address, self.address());
        let is_untried = self
            .candidates
            .get(address)
            .is_some_and(|it| it.latency.is_none() && is_past(it.pinged_at, PING_TIMEOUT, now));
        if !self.works() || is_untried && !self.is_settled() {
            self.ask(address, now);
        }
    }

    /// See [`PeerPath::handle_ping`](super::PeerPath::handle_ping).
    pub(super) fn handle_ping(
        &mut self,
        source: Source,
        transaction: TransactionId,
        now: Instant,
    ) -> bool {
        // Who replays old pings from elsewhere uses up the budget; the path in use does without.
        let is_of_path = source.is_udp(self.address());
        if self.remembered.contains(&transaction) || !is_of_path && !self.take_budget(now) {
            return false;
        }
        if self.remembered.len() >= REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(transaction);
        if let Source::Udp(address) = source {
            self.hear(address, now);
        }
        true
    }

    fn take_budget(&mut self, now: Instant) -> bool {
        let until = self.budget_used_until.map_or(now, |until| until.max(now)) + PING_COST;
        let is_within = until.saturating_duration_since(now) <= PING_COST * PING_BURST;
        if is_within {
            self.budget_used_until = Some(until);
        }
        is_within
    }

    /// See [`PeerPath::handle_call_me_maybe`](super::PeerPath::handle_call_me_maybe). Its addresses are pinged at once, also if
    /// they were before: the peer's NAT lets us in only now. That the peer wants a path does not mean that we do: two that cannot
    /// go direct would call each other for ever.
    pub(super) fn handle_call_me_maybe(&mut self, addresses: &[SocketAddr], now: Instant) {
        if !is_past(self.heeded_at, HEED_PAUSE, now) {
            return;
        }
        self.heeded_at = Some(now);
        let addresses = usable(addresses);
        self.candidates.replace(Origin::Call, &addresses, self.address());
        for address in addresses {
            if let Some(candidate) = self.candidates.get(address) {
                candidate.pinged_at = None;
            }
            self.ask(address, now);
        }
    }

    pub(super) fn handle_ping_sent(
        &mut self,
        to: SocketAddr,
        transaction: TransactionId,
        now: Instant,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { transaction, to, at: now });
        if let Some(current) = self.current.as_mut().filter(|current| current.address == to) {
            current.unanswered_since.get_or_insert(now);
        }
    }

    /// See [`PeerPath::handle_pong`](super::PeerPath::handle_pong).
    pub(super) fn handle_pong(
        &mut self,
        from: SocketAddr,
        transaction: TransactionId,
        now: Instant,
    ) -> bool {
        let is_it = |it: &Waiting| it.transaction == transaction && it.to == from;
        let Some(waiting) =
            self.waiting.iter().position(is_it).and_then(|at| self.waiting.remove(at))
        else {
            return false;
        };
        let latency = now.saturating_duration_since(waiting.at);
        if latency > PING_TIMEOUT {
            return false;
        }
        self.candidates.hear(from, self.address());
        if let Some(candidate) = self.candidates.get(from) {
            candidate.latency = Some(latency);
        }
        // Pings that were sent before the answered one, and are lost, mean nothing any more.
        let later = |it: &&Waiting| it.to == from && it.at > waiting.at;
        let unanswered_since = self.waiting.iter().filter(later).map(|it| it.at).min();
        match &mut self.current {
            Some(current) if current.address == from => {
                current.latency = (current.latency * 3 + latency) / 4;
                current.unanswered_since = unanswered_since;
                current.is_doubted = false;
            }
            Some(current) if !current.is_doubted && !is_better(from, latency, current) => {}
            Some(_) | None => {
                self.current = Some(Current {
                    address: from,
                    latency,
                    pinged_at: waiting.at,
                    unanswered_since,
                    is_doubted: false,
                });
            }
        }
        true
    }

    /// See [`PeerPath::handle_timeout`](super::PeerPath::handle_timeout).
    pub(super) fn handle_timeout(&mut self, live: bool, now: Instant) {
        let is_over = |it: &Waiting| now.saturating_duration_since(it.at) > PING_TIMEOUT;
        while self.waiting.front().is_some_and(is_over) {
            self.waiting.pop_front();
        }
        if !live && is_past(self.wanted_at, WANTED, now) {
            self.current = None;
            self.answered = None;
            self.requests.clear();
            return;
        }
        self.check_current(now);
        if self.is_search_due(now) {
            self.search(now);
        }
    }

    fn check_current(&mut self, now: Instant) {
        let Some(mut current) = self.current else { return };
        let silence =
            current.unanswered_since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if silence >= SILENCE {
            self.current = None;
            self.search_anew(now);
            return;
        }
        if !current.is_doubted && silence >= DOUBT_AFTER.max(current.latency * 2) {
            current.is_doubted = true;
            self.current = Some(current);
            self.search_anew(now);
        }
        let pause = match () {
            () if current.is_doubted => PING_PAUSE,
            () if !is_past(self.sent_at, BUSY, now) => HEARTBEAT,
            () => KEEP_OPEN,
        };
        if is_past(Some(current.pinged_at), pause, now) {
            self.ask(current.address, now);
        }
    }

    fn is_search_due(&self, now: Instant) -> bool {
        let pause = match () {
            () if self.is_settled() => return false,
            () if self.works() && is_past(self.sent_at, BUSY, now) => return false,
            () if self.works() => UPGRADE,
            () if self.searches < SEARCHES_QUICK => SEARCH_QUICK,
            () if self.searches < QUICK_PROBES => PROBE_INTERVAL,
            () => PROBE_INTERVAL_SLOW,
        };
        is_past(self.searched_at, pause, now)
    }

    /// Looks for a path with news: at once, unless that was done just now.
    fn search_anew(&mut self, now: Instant) {
        self.searches = 0;
        if is_past(self.searched_at, SEARCH_QUICK, now) {
            self.search(now);
        }
    }

    /// Pings all candidates and calls the peer.
    fn search(&mut self, now: Instant) {
        self.searches = self.searches.saturating_add(1);
        self.searched_at = Some(now);
        let addresses: Vec<_> = self.candidates.iter().map(|it| it.address).collect();
        for address in addresses {
            self.ask(address, now);
        }
        if is_past(self.called_at, CALL_PAUSE, now) {
            self.called_at = Some(now);
            self.requests.push_back(Request::CallMeMaybe);
        }
    }

    /// Pings a candidate, unless it was pinged just now.
    fn ask(&mut self, address: SocketAddr, now: Instant) {
        let Some(candidate) = self.candidates.get(address) else { return };
        if !is_past(candidate.pinged_at, PING_PAUSE, now) {
            return;
        }
        candidate.pinged_at = Some(now);
        if let Some(current) = self.current.as_mut().filter(|it| it.address == address) {
            current.pinged_at = now;
        }
        if !self.requests.contains(&Request::Ping(address)) {
            self.requests.push_back(Request::Ping(address));
        }
    }

    pub(super) fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// See [`PeerPath::handle_endpoints`](super::PeerPath::handle_endpoints).
    pub(super) fn handle_endpoints(&mut self, now: Instant) {
        self.called_at = None;
        if !self.works() && !is_past(self.wanted_at, WANTED, now) {
            self.searches = 0;
            self.search(now);
        }
    }

    /// See [`PeerPath::handle_network_change`](super::PeerPath::handle_network_change).
    pub(super) fn handle_network_change(&mut self, now: Instant) {
        if let Some(current) = &mut self.current {
            current.is_doubted = true;
            current.unanswered_since.get_or_insert(now);
        }
        self.called_at = None;
        if !is_past(self.wanted_at, WANTED, now) || self.current.is_some() {
            self.searches = 0;
            self.search(now);
        }
    }
}

/// Whether a path is clearly better than the one in use, which works.
fn is_better(address: SocketAddr, latency: Duration, current: &Current) -> bool {
    match (is_lan(address), is_lan(current.address)) {
        (_, true) => false,
        (true, false) => true,
        (false, false) => latency * 5 / 4 + Duration::from_millis(1) < current.latency,
    }
}

#[cfg(test)]
mod tests;
