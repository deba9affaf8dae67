//! The path to a peer that does not speak disco, probed by WireGuard's own empty packets.
//!
//! ```text
//!               heard by UDP                 answered, or data
//!     Relay ──────────────────────▶ Trial ────────────────────────▶ Direct
//!       ▲                             │                               │
//!       └──── 5 s without hearing ────┴──── 5 s without an answer ────┘
//! ```
//!
//! "Heard" means an authenticated, fresh WireGuard packet; nothing else changes a path. The relay is always available; UDP is
//! used while it works:
//!
//! * `Relay`: with a session, the candidates are probed with empty packets (WireGuard's keepalives).
//! * `Trial`: we heard the peer by UDP, but it may not hear us. We answer with an empty packet, and data is sent on **both**
//!   paths (WireGuard drops the second copy), so that a one-way path loses nothing. A peer that is direct already answers one
//!   empty packet a second, so we send a second one after that time.
//! * `Direct`: UDP only. When data is not answered for 2 s, or the peer sends data over the relay, data is sent on both paths
//!   again, and after 3 s more only over the relay. Therefore received data is answered within a second (WireGuard alone would
//!   wait for 10).
//!
//! An address that failed is not used before a pause, which doubles with each failure. The caller owns the socket and the
//! clock.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    event::{PacketKind, Route, Source},
    timing::*,
};
use crate::endpoint::is_usable;

mod penalties;

use penalties::Penalties;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Relay,
    Trial {
        address: SocketAddr,
        since: Instant,
        /// When we answered an empty packet.
        asked_at: Option<Instant>,
        /// Whether we sent a second one.
        asked_again: bool,
    },
    Direct {
        address: SocketAddr,
        since: Instant,
        heard_at: Instant,
        /// When the oldest unanswered data was sent.
        due_since: Option<Instant>,
        /// Whether the answer is so late that the relay is used, too.
        suspect: bool,
    },
}

/// The paths to one such peer.
#[derive(Clone, Debug)]
pub(super) struct ProbedPath {
    state: State,
    candidates: Vec<SocketAddr>,
    /// The last direct address, which may not be listed.
    last_direct: Option<SocketAddr>,
    penalties: Penalties,
    probes: u32,
    /// When the candidates are probed next; `None`: at once.
    next_probe: Option<Instant>,
    /// Since when data received by UDP is unanswered.
    answer_owed: Option<Instant>,
    /// When something was last sent by UDP.
    sent_direct_at: Option<Instant>,
    /// When the last empty packet was sent by UDP: a probe soon after could be mistaken for an answer.
    sent_empty_at: Option<Instant>,
}

impl Default for ProbedPath {
    fn default() -> Self {
        Self::new()
    }
}

impl ProbedPath {
    /// A path over the relay.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            state: State::Relay,
            candidates: Vec::new(),
            last_direct: None,
            penalties: Penalties::default(),
            probes: 0,
            next_probe: None,
            answer_owed: None,
            sent_direct_at: None,
            sent_empty_at: None,
        }
    }

    /// Replaces the candidates; those past [`MAX_CANDIDATES`] and unusable ones ([`is_usable`]) are dropped.
    pub(super) fn set_candidates(&mut self, candidates: &[SocketAddr]) {
        let mut fresh: Vec<SocketAddr> = Vec::with_capacity(candidates.len().min(MAX_CANDIDATES));
        for address in candidates {
            if fresh.len() < MAX_CANDIDATES && is_usable(*address) && !fresh.contains(address) {
                fresh.push(*address);
            }
        }
        if fresh.iter().any(|address| !self.candidates.contains(address)) {
            self.restart_probes();
        }
        self.candidates = fresh;
    }

    /// The paths on which data is sent now.
    #[must_use]
    pub(super) fn route(&self) -> Route {
        match self.state {
            State::Relay => Route { direct: None, relay: true },
            State::Trial { address, .. } => Route { direct: Some(address), relay: true },
            State::Direct { address, suspect, .. } => {
                Route { direct: Some(address), relay: suspect }
            }
        }
    }

    /// The address of a direct path, if there is one.
    #[must_use]
    pub(super) fn direct(&self) -> Option<SocketAddr> {
        match self.state {
            State::Direct { address, .. } => Some(address),
            State::Relay | State::Trial { .. } => None,
        }
    }

    /// All addresses for a handshake initiation, which is also sent over the relay.
    pub(super) fn fan_out(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let current = self.route().direct.or(self.last_direct);
        let unlisted = current.filter(|address| !self.candidates.contains(address));
        unlisted.into_iter().chain(self.candidates.iter().copied())
    }

    /// Records an authenticated packet. Returns an address to which an empty packet must be sent.
    pub(super) fn handle_received(
        &mut self,
        source: Source,
        heard: PacketKind,
        now: Instant,
    ) -> Option<SocketAddr> {
        let answer_to = match source {
            Source::Relay => {
                self.handle_relayed(heard, now);
                None
            }
            Source::Udp(address) => self.handle_udp(address, heard, now),
        };
        if heard == PacketKind::Data && source.is_udp(self.route().direct) {
            self.answer_owed.get_or_insert(now);
        }
        if answer_to.is_some() {
            self.sent_empty_at = Some(now);
        }
        answer_to
    }

    /// Data over the relay although the path is direct: the peer does not hear us.
    fn handle_relayed(&mut self, heard: PacketKind, now: Instant) {
        if let State::Direct { since, due_since, suspect, .. } = &mut self.state
            && heard == PacketKind::Data
            && now.saturating_duration_since(*since) > SILENCE
            && !*suspect
        {
            *due_since = now.checked_sub(SUSPECT_AFTER).or(Some(now));
            *suspect = true;
        }
    }

    fn handle_udp(
        &mut self,
        address: SocketAddr,
        heard: PacketKind,
        now: Instant,
    ) -> Option<SocketAddr> {
        match self.state {
            State::Relay => self.hear_new(address, heard, now),
            State::Trial { address: tried, asked_at, .. } if tried == address => {
                let answered =
                    asked_at.is_some_and(|at| now.saturating_duration_since(at) <= ANSWER_WINDOW);
                match heard {
                    PacketKind::Data | PacketKind::Response
                        if self.penalties.is_doubtful(address, now) =>
                    {
                        None
                    }
                    PacketKind::Data | PacketKind::Response => Some(self.go_direct(address, now)),
                    PacketKind::Empty if answered => Some(self.go_direct(address, now)),
                    PacketKind::Empty => self.ask(now),
                    PacketKind::Initiation => None,
                }
            }
            State::Trial { .. } if heard.proves_both_ways() => self.hear_new(address, heard, now),
            State::Trial { .. } => None,
            State::Direct { address: current, .. } if current == address => {
                self.hear_current(heard, now);
                (heard == PacketKind::Empty && self.may_answer(now)).then_some(address)
            }
            State::Direct { heard_at, suspect, .. } => {
                let quiet = now.saturating_duration_since(heard_at);
                let moved = match heard {
                    PacketKind::Data | PacketKind::Initiation | PacketKind::Response => {
                        quiet > ROAM_AFTER
                    }
                    PacketKind::Empty => suspect || quiet > QUIET,
                };
                if moved { self.hear_new(address, heard, now) } else { None }
            }
        }
    }

    /// Handles a packet from an address that is not in use.
    fn hear_new(
        &mut self,
        address: SocketAddr,
        heard: PacketKind,
        now: Instant,
    ) -> Option<SocketAddr> {
        if heard.proves_both_ways() {
            if self.penalties.is_doubtful(address, now) {
                self.state =
                    State::Trial { address, since: now, asked_at: Some(now), asked_again: false };
                return Some(address);
            }
            return Some(self.go_direct(address, now));
        }
        if self.penalties.is_ignored(address, now) {
            return None;
        }
        let asked_at = (heard == PacketKind::Empty).then_some(now);
        self.state = State::Trial { address, since: now, asked_at, asked_again: false };
        asked_at.map(|_| address)
    }

    /// Whether an empty packet on a direct path may be answered. Answers come sooner than this delay, so they are not answered
    /// in turn.
    fn may_answer(&self, now: Instant) -> bool {
        self.sent_empty_at.is_none_or(|at| now.saturating_duration_since(at) >= ANSWER_DELAY)
    }

    /// Answers an empty packet, and records the time: a prompt further one is the answer to ours.
    fn ask(&mut self, now: Instant) -> Option<SocketAddr> {
        match &mut self.state {
            State::Trial { address, asked_at, asked_again, .. } => {
                (*asked_at, *asked_again) = (Some(now), false);
                Some(*address)
            }
            State::Relay | State::Direct { .. } => None,
        }
    }

    /// Sends a second empty packet while an answer would still count: the peer may not have answered the first
    /// ([`Self::may_answer`]).
    fn ask_again(&mut self, now: Instant, probes: &mut Vec<SocketAddr>) {
        if let State::Trial { address, asked_at: Some(at), asked_again, .. } = &mut self.state
            && !*asked_again
            && (ANSWER_DELAY..ANSWER_WINDOW).contains(&now.saturating_duration_since(*at))
        {
            *asked_again = true;
            self.sent_empty_at = Some(now);
            probes.push(*address);
        }
    }

    /// While data is also sent over the relay, an answer may be to the relay's copy: a suspect path is given up and tried again
    /// from the relay, which loses nothing.
    fn hear_current(&mut self, heard: PacketKind, now: Instant) {
        if let State::Direct { heard_at, due_since, suspect, .. } = &mut self.state {
            *heard_at = now;
            let in_time =
                due_since.is_some_and(|due| now.saturating_duration_since(due) <= ANSWER_WINDOW);
            if !*suspect && (in_time || heard != PacketKind::Empty) {
                *due_since = None;
            }
        }
    }

    fn go_direct(&mut self, address: SocketAddr, now: Instant) -> SocketAddr {
        self.state =
            State::Direct { address, since: now, heard_at: now, due_since: None, suspect: false };
        self.last_direct = Some(address);
        self.restart_probes();
        address
    }

    /// Records that data was sent along [`Self::route`].
    pub(super) fn handle_sent_data(&mut self, now: Instant) {
        if let State::Direct { due_since, .. } = &mut self.state {
            due_since.get_or_insert(now);
        }
        self.handle_sent(now);
    }

    /// Records that anything was sent along [`Self::route`].
    pub(super) fn handle_sent(&mut self, now: Instant) {
        if self.route().direct.is_some() {
            self.answer_owed = None;
            self.sent_direct_at = Some(now);
        }
    }

    /// Records that a new session was made: the candidates are probed soon.
    pub(super) fn handle_session(&mut self) {
        self.restart_probes();
    }

    /// See [`PeerPath::handle_network_change`](super::PeerPath::handle_network_change). A direct path goes back on trial.
    pub(super) fn handle_network_change(&mut self, now: Instant, probes: &mut Vec<SocketAddr>) {
        self.penalties = Penalties::default();
        self.answer_owed = None;
        self.probes = 0;
        self.next_probe = None;
        self.sent_empty_at = None;
        if let Some(address) = self.route().direct {
            self.state =
                State::Trial { address, since: now, asked_at: Some(now), asked_again: false };
        }
        self.probe(now, probes);
    }

    /// Advances to `now`; call it about four times a second. `live` is whether there is a session. Appends addresses to which an
    /// empty packet must be sent.
    pub(super) fn handle_timeout(
        &mut self,
        live: bool,
        now: Instant,
        probes: &mut Vec<SocketAddr>,
    ) {
        match self.state {
            State::Relay => {}
            State::Trial { address, since, .. } => {
                if now.saturating_duration_since(since) >= TRIAL {
                    self.give_up(address, now);
                }
            }
            State::Direct { address, since, due_since, .. } => {
                self.check_direct(address, since, due_since, now);
            }
        }
        if !live {
            if self.state != State::Relay {
                self.state = State::Relay;
                self.restart_probes();
            }
            self.answer_owed = None;
            return;
        }
        match self.direct() {
            Some(address) => self.keep_open(address, now, probes),
            None if self.state == State::Relay => self.probe(now, probes),
            None => self.ask_again(now, probes),
        }
    }

    fn check_direct(
        &mut self,
        address: SocketAddr,
        since: Instant,
        due_since: Option<Instant>,
        now: Instant,
    ) {
        let waiting = due_since.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        if waiting >= SILENCE {
            self.give_up(address, now);
            return;
        }
        if let State::Direct { suspect, .. } = &mut self.state {
            *suspect |= waiting >= SUSPECT_AFTER;
        }
        if now.saturating_duration_since(since) >= PROVEN && due_since.is_none() {
            self.penalties.clear(address);
        }
    }

    /// Sends a due answer, or a keepalive for NAT mappings.
    fn keep_open(&mut self, address: SocketAddr, now: Instant, probes: &mut Vec<SocketAddr>) {
        let past = |at: Option<Instant>, limit: Duration| {
            at.is_some_and(|at| now.saturating_duration_since(at) >= limit)
        };
        let idle = self.sent_direct_at.is_none() || past(self.sent_direct_at, KEEP_OPEN);
        if idle || past(self.answer_owed, ANSWER_DELAY) {
            self.handle_sent(now);
            self.sent_empty_at = Some(now);
            probes.push(address);
        }
    }

    fn probe(&mut self, now: Instant, probes: &mut Vec<SocketAddr>) {
        let last = self.sent_empty_at.map(|at| at + PROBE_INTERVAL);
        if self.next_probe.max(last).is_some_and(|at| at > now) {
            return;
        }
        self.sent_empty_at = Some(now);
        probes.extend(self.fan_out());
        self.probes = self.probes.saturating_add(1);
        let pause = if self.probes < QUICK_PROBES { PROBE_INTERVAL } else { PROBE_INTERVAL_SLOW };
        self.next_probe = Some(now + pause);
    }

    /// Restarts probing, at the earliest [`PROBE_INTERVAL`] after the last probe.
    fn restart_probes(&mut self) {
        if self.probes >= QUICK_PROBES {
            self.next_probe = None;
        }
        self.probes = 0;
    }

    fn give_up(&mut self, address: SocketAddr, now: Instant) {
        let was_direct = self.direct().is_some();
        self.state = State::Relay;
        self.answer_owed = None;
        self.restart_probes();
        self.penalties.add(address, was_direct, now);
    }
}

#[cfg(test)]
mod tests;
