//! The certificate authority of the network's names: this node's own, or the home node's over the tunnel.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use chassis::{body, client};
use node_agent_api::{Authority, endpoints::ROOT_PEM};
use node_agent_core::{domain::Domain, netmap::Netmap};
use services::{HTTPS_PORT, ROOMS};

use crate::{agent::Agent, dial::target::Target, https::page};

/// Longest certificate, in bytes of PEM.
const CERTIFICATE_MAX: usize = 16 << 10;
/// Timeout of connecting, and of the response.
const PATIENCE: Duration = Duration::from_secs(5);

/// The authority, if this device is a node and the home node offers HTTPS.
pub(super) async fn of(agent: &Agent, interface: &str) -> Option<Authority> {
    let netmap = Arc::clone(&agent.netmap.borrow());
    let (network, gateway) = (netmap.network()?, netmap.gateway()?);
    let is_own = netmap.node.as_ref().is_some_and(|node| node.stable_id == gateway.stable_id);
    let certificate = if is_own {
        agent.own_authority(network)?.root
    } else {
        let mut found = None;
        for address in gateway.addresses {
            let target = Target {
                address: SocketAddr::new(address, HTTPS_PORT),
                outside: false,
                interface: interface.to_owned(),
            };
            found = ask(&target, &netmap, network).await;
            if found.is_some() {
                break;
            }
        }
        found?
    };
    Some(Authority { network: network.to_string(), certificate, page: page::address(network) })
}

/// The certificate that a node offers, unjudged.
async fn ask(target: &Target, netmap: &Netmap, network: &Domain) -> Option<String> {
    let stream = target.connect(&target.peer(netmap), PATIENCE).await;
    let stream = stream
        .inspect_err(|error| tracing::info!(%error, "the home node's HTTPS is not reached"))
        .ok()?;
    let host = format!("{ROOMS}.{network}:{HTTPS_PORT}");
    let request =
        Request::get(ROOT_PEM.declaration.path).header("host", host).body(Body::empty()).ok()?;
    let asked = async {
        let response = client::send(stream, request).await.ok()?;
        let is_ok = response.status().is_success();
        let bytes = body::whole(response.into_body(), CERTIFICATE_MAX, PATIENCE).await.ok()?;
        String::from_utf8(bytes.to_vec()).ok().filter(|_| is_ok)
    };
    tokio::time::timeout(PATIENCE, asked).await.ok()?
}
