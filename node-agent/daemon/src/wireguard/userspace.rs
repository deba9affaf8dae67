//! WireGuard by our own device, where the kernel has none.

use std::{
    collections::HashMap,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use node_agent_core::filter::PacketFilter;
use wireguard_device::{Config, Device, Error, Host, Path};

use super::peer::{Peer, PeerState};

/// A running device.
pub(crate) struct Userspace {
    device: Device,
    /// What was last known of each device that has been heard: a session that is over is still the last one.
    known: Mutex<HashMap<[u8; 32], PeerState>>,
}

impl std::fmt::Debug for Userspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Userspace").finish_non_exhaustive()
    }
}

/// There is no relay to such a device, and nothing else to hear on its port.
struct NoRelay;

impl Host for NoRelay {
    fn relay(&self, _to: &[u8; 32], _packet: &[u8]) {}

    fn foreign(&self, _from: SocketAddr, _packet: &[u8]) {}
}

impl Userspace {
    /// Starts the device, on `tun` if there is one.
    pub(super) fn start(tun: Option<OwnedFd>, config: Config) -> Result<Self, Error> {
        let device = Device::start_on(tun, config, Arc::new(NoRelay))?;
        // The firewall judges where packets go, as it does for the kernel's interface.
        device.set_filter(Arc::new(PacketFilter::open()));
        Ok(Self { device, known: Mutex::default() })
    }

    pub(super) fn is_running(&self) -> bool {
        self.device.is_running()
    }

    pub(super) fn set_peers(&self, peers: &[Peer]) {
        let peers = peers.iter().map(|peer| wireguard_device::Peer {
            public_key: peer.key,
            discovery_key: [0; 32],
            allowed_ips: peer.addresses.iter().map(|address| (*address).into()).collect(),
            candidates: Vec::new(),
        });
        self.device.set_peers(peers.collect());
    }

    pub(super) fn states(&self) -> HashMap<[u8; 32], PeerState> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = self.device.peer_stats();
        known.retain(|key, _| stats.iter().any(|stats| stats.public_key == *key));
        for stats in stats {
            let state = known.entry(stats.public_key).or_default();
            if let Path::Direct(address) = stats.path {
                state.endpoint = Some(address);
            }
            state.last_handshake = stats.last_handshake.or(state.last_handshake);
            (state.received, state.sent) = (stats.rx_bytes, stats.tx_bytes);
        }
        known.clone()
    }
}
