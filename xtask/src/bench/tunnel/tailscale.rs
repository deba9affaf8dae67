//! Stock Tailscale on both machines, joined to our coordinator.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use lab::stock::{INTERFACE, StockNode};
use serde_json::Value;

use super::{
    bed::{TestBed, UnderlayKind},
    coordinator::Coordinator,
    path::Tunnel,
};

/// Two daemons, each the other's only peer.
#[derive(Debug)]
pub(super) struct Tailscale {
    server: IpAddr,
    /// The server's, then the client's.
    nodes: [StockNode; 2],
    _coordinator: Coordinator,
}

impl Tailscale {
    /// Starts the daemons of a folder, and has them join.
    pub(super) fn open(bed: &TestBed, folder: &Path) -> Result<Self> {
        let coordinator = Coordinator::start(bed)?;
        let node = |machine| -> Result<StockNode> {
            let node = StockNode::start_from(folder.to_owned(), machine, &[])?;
            node.join(&coordinator.url, &coordinator.key()?, &[])?;
            Ok(node)
        };
        let nodes = [node(&bed.server)?, node(&bed.client)?];
        let server = nodes[0].address()?.into();
        Ok(Self { server, nodes, _coordinator: coordinator })
    }
}

impl Tunnel for Tailscale {
    fn server(&self) -> IpAddr {
        self.server
    }

    fn interfaces(&self) -> [&str; 2] {
        [INTERFACE; 2]
    }

    fn processes(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.daemon.pid()).collect()
    }

    fn check(&self, bed: &TestBed) -> Result<()> {
        for (own, other) in [(0, 1), (1, 0)] {
            let machine = self.nodes[other].machine.name();
            let peer = self.nodes[own].peer(machine)?.context("it does not know its peer yet")?;
            let address = bed.outside.addresses()[other];
            ensure!(
                is_on(&peer, bed.outside, address),
                "the path to {machine} is {} by relay {}, not {}",
                peer["CurAddr"],
                peer["Relay"],
                bed.outside
            );
        }
        Ok(())
    }
}

/// Whether a peer, as the status has it, is reached at this end of the cable.
fn is_on(peer: &Value, outside: UnderlayKind, address: IpAddr) -> bool {
    let direct = peer["CurAddr"].as_str().unwrap_or_default();
    match outside {
        UnderlayKind::Ipv4 | UnderlayKind::Ipv6 => {
            direct.parse::<SocketAddr>().is_ok_and(|to| to.ip() == address)
        }
        UnderlayKind::Relay => direct.is_empty() && peer["Relay"].as_str() != Some(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_peer_with_an_address_is_direct_and_one_without_is_relayed() {
        let [server, _] = UnderlayKind::Ipv4.addresses();
        let direct = json!({ "CurAddr": "10.99.0.1:41641", "Relay": "maru" });
        let relayed = json!({ "CurAddr": "", "Relay": "maru" });
        assert!(
            is_on(&direct, UnderlayKind::Ipv4, server)
                && !is_on(&direct, UnderlayKind::Relay, server)
        );
        assert!(
            is_on(&relayed, UnderlayKind::Relay, server)
                && !is_on(&relayed, UnderlayKind::Ipv4, server)
        );
        let nowhere = json!({ "CurAddr": "", "Relay": "" });
        assert!(!is_on(&nowhere, UnderlayKind::Relay, server));
    }
}
