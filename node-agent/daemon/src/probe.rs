//! When this node asks members whether they reach it at its outer addresses, and answers members who ask ([`crate::reach`]).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use control_protocol::{key::NodePublic, map::SERVER_URL};
use coordinator_api::invitation::ServerUrl;
use derp::stun;
use node_agent_api::EndpointKind;
use node_agent_core::netmap::RouteChoice;

use crate::{agent::Agent, endpoints::kind, home, relay::Relays};

/// Pause between two rounds.
const ROUND: Duration = Duration::from_secs(300);
/// How long endpoints must have stayed the same before a round, so that members know them.
const SETTLED: Duration = Duration::from_secs(5);
/// Members asked in one round; the next round asks others.
const MEMBERS: usize = 3;

/// Asks members round by round, as long as this node has an endpoint that its router must forward. Where no member tried, it asks
/// again sooner: one that has just joined does not know its own place yet.
pub(crate) async fn run(agent: Arc<Agent>, relays: Arc<Relays>) {
    let mut report = agent.report.subscribe();
    let mut first = 0;
    let mut pause = SETTLED;
    loop {
        report.mark_unchanged();
        let endpoints = own_endpoints(&agent);
        let members = members(&agent, first);
        first += members.len();
        let is_judged = agent.reach.ask(&relays, &members, &endpoints, &own_tcp(&agent)).await;
        pause = if is_judged { ROUND } else { ROUND.min(2 * pause) };
        let has_changed =
            async { while report.changed().await.is_ok() && own_endpoints(&agent) == endpoints {} };
        if tokio::time::timeout(pause, has_changed).await.is_ok() {
            pause = SETTLED;
            tokio::time::sleep(SETTLED).await;
        }
    }
}

/// The endpoints that only a router's forwarding makes useful.
fn own_endpoints(agent: &Agent) -> Vec<SocketAddr> {
    use EndpointKind::{Configured, PortMapped, Router};
    endpoints_of(agent, &[PortMapped, Router, Configured])
}

/// Where devices elsewhere reach coordinator and relay of this machine, if it is home and behind a router.
fn own_tcp(agent: &Agent) -> Vec<SocketAddr> {
    let Some(server) = home::server(agent) else { return Vec::new() };
    let ports = home::tcp_ports(&server.public, &agent.netmap.borrow().relays);
    let outer = endpoints_of(agent, &[EndpointKind::Router]);
    outer.iter().flat_map(|at| ports.iter().map(move |port| (at.ip(), *port).into())).collect()
}

fn endpoints_of(agent: &Agent, kinds: &[EndpointKind]) -> Vec<SocketAddr> {
    let report = agent.report.borrow();
    let endpoints = report.endpoints.iter().filter(|(_, number)| kinds.contains(&kind(*number)));
    endpoints.map(|(endpoint, _)| *endpoint).collect()
}

/// The members to ask: those that are connected, beginning with another one in each round.
fn members(agent: &Agent, first: usize) -> Vec<NodePublic> {
    let netmap = agent.netmap.borrow().clone();
    let peers = netmap.tunnel_peers(&RouteChoice::default());
    let is_online = |key: &NodePublic| {
        netmap.peers.values().any(|node| node.key == *key && node.online == Some(true))
    };
    let online: Vec<_> = peers.iter().map(|peer| peer.key).filter(is_online).collect();
    online
        .iter()
        .cycle()
        .skip(first % online.len().max(1))
        .take(online.len().min(MEMBERS))
        .copied()
        .collect()
}

/// Takes a packet that the relay delivered from a node; returns whether it was of this protocol.
pub(crate) fn handle_relayed(
    agent: &Agent,
    relays: &Arc<Relays>,
    from: &[u8; 32],
    packet: &[u8],
) -> bool {
    if !stun::is_stun(packet) {
        return false;
    }
    let netmap = agent.netmap.borrow().clone();
    let seen = endpoints_of(agent, &[EndpointKind::Stun]);
    let node = netmap.peers.values().find(|node| node.key.as_bytes() == from);
    let url = node.and_then(|node| node.cap_map.get(SERVER_URL)?.first()?.as_str());
    let server = url.and_then(|url| ServerUrl::parse(url).ok());
    let ports = server.map(|server| home::tcp_ports(&server, &netmap.relays)).unwrap_or_default();
    agent.reach.handle_relayed(relays, (&netmap, &seen, &ports), from, packet);
    true
}
