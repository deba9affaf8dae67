//! Where a peer's messages go: over the relay, by UDP, or both.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use node_agent_core::{
    disco::Channel,
    path::{PeerPath, Request, Source},
};

use crate::{
    disco::{self, Disco},
    outgoing::{Destination, Outgoing},
    protocol::Protocol,
    wire::{self, Message},
};

/// A handshake after this pause starts a new series of attempts.
pub(super) const ATTEMPTS_OVER: Duration = Duration::from_secs(90);

/// The sessions with a peer, and the paths on which their messages go.
pub(super) struct Link {
    pub(super) protocol: Box<dyn Protocol>,
    discovery_key: [u8; 32],
    disco: Arc<Disco>,
    /// `None` if the peer has no discovery key.
    pub(super) channel: Option<Channel>,
    pub(super) path: PeerPath,
    /// When an initiation was last sent.
    initiated_at: Option<Instant>,
    /// The last direct address for data.
    sent_to: Option<SocketAddr>,
    /// Whether the peer sent a disco message to this node's key, which is another one after each start, and no session is older.
    is_known: bool,
}

impl Link {
    pub(super) fn new(
        protocol: Box<dyn Protocol>,
        discovery_key: [u8; 32],
        disco: Arc<Disco>,
    ) -> Self {
        let channel = disco.channel(discovery_key);
        Self {
            protocol,
            discovery_key,
            path: PeerPath::new(channel.is_some()),
            disco,
            channel,
            initiated_at: None,
            sent_to: None,
            is_known: false,
        }
    }

    /// See [`Peer::roaming`](super::Peer::roaming).
    pub(super) fn roam(&mut self) {
        self.path = PeerPath::roaming();
    }

    /// See [`Peer::set_discovery_key`](super::Peer::set_discovery_key).
    pub(super) fn set_discovery_key(&mut self, key: [u8; 32]) {
        if self.discovery_key != key {
            self.discovery_key = key;
            self.channel = self.disco.channel(key);
            self.path = PeerPath::new(self.channel.is_some());
            self.protocol.note_restart();
        }
    }

    /// Records that the peer knows this node's discovery key. A stock node ends its session when it learns another key
    /// (`discoChanged`, `wgengine/userspace.go`), so one that was made before is replaced.
    pub(super) fn note_known(&mut self, key: &[u8; 32], out: &mut Outgoing, now: Instant) {
        if self.is_known {
            return;
        }
        let first = out.batch.len();
        let has_session = self.protocol.session_age().is_some();
        if has_session {
            self.protocol.initiate(&mut out.batch, now);
            self.dispatch(key, first, out, |_| None, now);
        }
        self.is_known = !has_session || out.batch.len() > first;
    }

    /// Sets the destinations of the messages from number `first` on. `source` returns the source for a tag.
    pub(super) fn dispatch(
        &mut self,
        key: &[u8; 32],
        first: usize,
        out: &mut Outgoing,
        source: impl Fn(usize) -> Option<Source>,
        now: Instant,
    ) {
        for message in first..out.batch.len() {
            match wire::classify(out.batch.get(message)) {
                Message::Initiation => self.dispatch_initiation(key, message, out, now),
                Message::Response { .. } | Message::Cookie { .. } => {
                    self.dispatch_reply(key, message, source(out.batch.tag(message)), out);
                }
                Message::Data { empty, .. } => {
                    let route = self.path.route();
                    if self.sent_to != route.direct {
                        out.moved.extend(self.sent_to);
                        out.moved.extend(route.direct);
                        self.sent_to = route.direct;
                    }
                    if let Some(address) = route.direct {
                        out.dispatch(message, Destination::Udp(address));
                    }
                    if route.relay {
                        out.dispatch(message, Destination::Relay(*key));
                    }
                    if empty { self.path.handle_sent(now) } else { self.path.handle_sent_data(now) }
                }
                Message::Disco | Message::Foreign => {}
            }
        }
    }

    /// The first initiation on a direct path that is not in doubt is sent there; all others are sent to every address and the
    /// relay.
    fn dispatch_initiation(
        &mut self,
        key: &[u8; 32],
        message: usize,
        out: &mut Outgoing,
        now: Instant,
    ) {
        let is_first =
            self.initiated_at.is_none_or(|at| now.saturating_duration_since(at) > ATTEMPTS_OVER);
        self.initiated_at = Some(now);
        self.path.handle_initiation(now);
        let route = self.path.route();
        if let (true, Some(address), false) = (is_first, route.direct, route.relay) {
            out.dispatch(message, Destination::Udp(address));
            return;
        }
        out.dispatch(message, Destination::Relay(*key));
        for address in self.path.fan_out() {
            out.dispatch(message, Destination::Udp(address));
        }
    }

    /// A reply is sent to the message's source, and over the relay, too, unless the source is a proven direct path.
    fn dispatch_reply(
        &self,
        key: &[u8; 32],
        message: usize,
        source: Option<Source>,
        out: &mut Outgoing,
    ) {
        let proven = match source {
            Some(Source::Udp(address)) => {
                out.dispatch(message, Destination::Udp(address));
                let route = self.path.route();
                route.direct == Some(address) && !route.relay
            }
            Some(Source::Relay) | None => false,
        };
        if !proven {
            out.dispatch(message, Destination::Relay(*key));
        }
    }

    /// Sends the disco messages that the path wants sent.
    pub(super) fn send_requests(&mut self, key: &[u8; 32], out: &mut Outgoing, now: Instant) {
        while let Some(request) = self.path.poll_request() {
            let Some(channel) = &self.channel else { continue };
            match request {
                Request::Ping(to) => {
                    let Some((ping, transaction)) = self.disco.ping() else { continue };
                    if disco::post(out, channel, &ping, Destination::Udp(to)) {
                        self.path.handle_ping_sent(to, transaction, now);
                    }
                }
                Request::CallMeMaybe => {
                    if let Some(call) = self.disco.call_me_maybe() {
                        disco::post(out, channel, &call, Destination::Relay(*key));
                    }
                }
            }
        }
    }

    /// Sends an empty packet to one address only.
    pub(super) fn keepalive(&mut self, address: SocketAddr, out: &mut Outgoing, now: Instant) {
        let message = out.batch.len();
        if self.protocol.keepalive(&mut out.batch, now) {
            out.dispatch(message, Destination::Udp(address));
            if self.path.route().direct == Some(address) {
                self.path.handle_sent(now);
            }
        }
    }
}
