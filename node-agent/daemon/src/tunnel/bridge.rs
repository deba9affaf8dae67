//! Between the device and the relays.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use tokio::{runtime::Handle, sync::mpsc};
use wireguard_device::{Device, Host};

use crate::{
    agent::Agent,
    endpoints::ForeignDatagram,
    probe,
    relay::{FromRelay, Relays},
};

/// Connects the device to the relays, and forwards datagrams that are not WireGuard.
pub(super) struct Bridge {
    agent: Arc<Agent>,
    pub(super) relays: OnceLock<Arc<Relays>>,
    foreign: mpsc::Sender<ForeignDatagram>,
}

impl Bridge {
    pub(super) fn new(agent: &Arc<Agent>, foreign: mpsc::Sender<ForeignDatagram>) -> Self {
        Self { agent: Arc::clone(agent), relays: OnceLock::new(), foreign }
    }
}

impl Host for Bridge {
    fn relay(&self, to: &[u8; 32], packet: &[u8]) {
        if let Some(relays) = self.relays.get() {
            relays.send(to, packet);
        }
    }

    fn foreign(&self, from: SocketAddr, packet: &[u8]) {
        if self.agent.reach.handle_datagram(packet) {
            return;
        }
        let _ = self.foreign.try_send((from, packet.to_vec()));
    }
}

/// The relays, which hand what they deliver to the device, or to [`probe`].
pub(super) fn relays(agent: &Arc<Agent>, device: &Arc<Device>, bridge: &Arc<Bridge>) -> Relays {
    let (drops, device) = (device.drop_counts(), Arc::downgrade(device));
    let bridge = Arc::downgrade(bridge);
    let received = move |peer: &[u8; 32], what: FromRelay<'_>| {
        let FromRelay::Packet(packet) = what else {
            if let Some(device) = device.upgrade() {
                device.handle_undelivered(peer);
            }
            return;
        };
        let bridge = bridge.upgrade();
        if let Some((bridge, relays)) = bridge.as_ref().and_then(|is| Some((is, is.relays.get()?)))
            && probe::handle_relayed(&bridge.agent, relays, peer, packet)
        {
            return;
        }
        if let Some(device) = device.upgrade() {
            device.handle_relayed(peer, packet);
        }
    };
    let of = Arc::downgrade(agent);
    let authorities = move || of.upgrade().and_then(|agent| agent.membership()?.ca);
    Relays::new(
        Handle::current(),
        agent.private_key(),
        Arc::clone(&agent.forwarder),
        Box::new(authorities),
        agent.home.clone(),
        Box::new(received),
        drops,
    )
}
