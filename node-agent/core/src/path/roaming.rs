//! The path to a peer of plain WireGuard: where it was last heard (WireGuard, section 2.1), however long that is ago. Nothing
//! is probed, and there is no relay.

use std::net::SocketAddr;

use super::event::{Route, Source};

/// The path to one such peer.
#[derive(Clone, Debug, Default)]
pub(super) struct RoamingPath {
    pub(super) heard_at: Option<SocketAddr>,
}

impl RoamingPath {
    pub(super) fn route(&self) -> Route {
        Route { direct: self.heard_at, relay: false }
    }

    /// Records an authenticated packet.
    pub(super) fn handle_received(&mut self, source: Source) {
        if let Source::Udp(address) = source {
            self.heard_at = Some(address);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::path::{PacketKind, PeerPath};

    #[test]
    fn a_peer_is_where_it_was_last_heard_however_long_ago() {
        let (mut path, mut now) = (PeerPath::roaming(), Instant::now());
        let [first, second]: [SocketAddr; 2] =
            ["192.0.2.1:51820", "[2001:db8::1]:4711"].map(|at| at.parse().unwrap());
        assert_eq!(path.route(), Route { direct: None, relay: false });
        for at in [first, second] {
            path.handle_received(Source::Udp(at), PacketKind::Data, now);
            for _ in 0..3 {
                path.handle_sent_data(now);
                now += Duration::from_secs(3600);
                let mut probes = Vec::new();
                path.handle_timeout(true, now, &mut probes);
                path.handle_network_change(now, &mut probes);
                assert_eq!((path.route().direct, probes), (Some(at), Vec::new()));
                assert_eq!(path.fan_out(), [at]);
            }
            path.handle_received(Source::Relay, PacketKind::Data, now);
        }
    }
}
