//! The agent's status.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use common::route::EXIT;
use control_protocol::map::Node;
use messages::Message;
use node_agent_api::{
    AcceptedRoute, Certificate, Coordinator, ExitNode, Gateway, OfferedRoute, Peer, ProblemMessage,
    Relay, SelfNode, State, Status,
};
use node_agent_core::netmap::{Netmap, format_time, parse_time};
use wireguard_device::{Path, PeerStats};

use super::{relay, wireguard};
use crate::{
    agent::{Agent, EndpointReport, InterfaceState},
    routing,
};

/// The agent's status now.
pub(super) fn of(agent: &Agent) -> Status {
    let netmap = agent.netmap.borrow().clone();
    let progress = agent.progress.borrow().clone();
    let (state, failed) = state(agent, &netmap, progress.state);
    let failed = failed.map(Message::from);
    let problem = failed.or(progress.refusal).or_else(|| agent.trouble()).or(progress.problem);
    let home = agent.home.borrow().clone();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state,
        problem: problem.as_ref().map(ToString::to_string),
        problem_message: problem.and_then(Message::into_parts).map(ProblemMessage::from),
        auth_url: progress.auth_url,
        network: netmap.network().map(ToString::to_string),
        node: node(&netmap),
        coordinator: agent.membership().map(|membership| Coordinator {
            url: membership.server_url,
            noise_public_key: membership.noise_key.map(|key| key.to_string()),
            connected: progress.connected,
        }),
        home_relay: home.map(|home| Relay {
            region: home.region,
            name: home.name,
            connected: home.connected,
        }),
        offload: offload(agent),
        exit_node: exit_node(agent, &netmap),
        accepted_routes: accepted_routes(agent, &netmap),
        offered_routes: offered_routes(agent, &netmap),
        shields_up: agent.config.settings.shields_up,
        peers: peers(&netmap, &stats(agent), &agent.report.borrow()),
        gateway: netmap.gateway().map(|gateway| Gateway {
            node: gateway.stable_id,
            identity: gateway.identity,
            host: gateway.host,
            addresses: gateway.addresses,
        }),
        dns: agent.dns.borrow().map(str::to_owned),
        drops: drops(agent),
        certificates: certificates(agent),
        wireguard: wireguard::of(agent, &netmap),
    }
}

fn exit_node(agent: &Agent, netmap: &Netmap) -> Option<ExitNode> {
    let choice = &agent.config.routes;
    let name = choice.exit_node.clone()?;
    let usable = netmap.routes(choice).iter().any(|(net, _)| EXIT.contains(net));
    Some(ExitNode { name, usable, no_resolver: agent.forwarder.lacks_exit_resolver() })
}

fn accepted_routes(agent: &Agent, netmap: &Netmap) -> Vec<AcceptedRoute> {
    let routes = netmap.routes(&agent.config.routes);
    let subnets = routes.iter().filter(|(net, _)| !EXIT.contains(net));
    subnets
        .map(|(net, node)| AcceptedRoute { route: net.to_string(), node: netmap.short_name(node) })
        .collect()
}

fn offered_routes(agent: &Agent, netmap: &Netmap) -> Vec<OfferedRoute> {
    let choice = &agent.config.routes;
    let served = netmap.served(choice);
    let offered = choice.offered.iter();
    offered
        .map(|net| OfferedRoute {
            route: net.to_string(),
            approved: served.contains(net),
            forwarding_off: !routing::is_forwarded(net),
        })
        .collect()
}

fn certificates(agent: &Agent) -> Vec<Certificate> {
    let states = agent.certificate_states().clone();
    let told = states.into_iter().map(|(name, state)| Certificate {
        name,
        ends: state.ends.and_then(format_time),
        problem: state.problem.as_ref().map(ToString::to_string),
        problem_message: state.problem.and_then(Message::into_parts).map(ProblemMessage::from),
    });
    told.collect()
}

/// The state of this device, and the error of this machine's that keeps it from running. A node is running once the
/// interface has its addresses and the mesh's routes: before that, connections to peers fail.
fn state(agent: &Agent, netmap: &Netmap, state: State) -> (State, Option<String>) {
    if state != State::Running {
        return (state, None);
    }
    if agent.is_paused() {
        return (State::Paused, None);
    }
    if agent.is_expired() {
        return (State::Expired, None);
    }
    match &*agent.interface.borrow() {
        InterfaceState::Failed(why) => (State::Joining, Some(why.clone())),
        InterfaceState::Configured(addresses) => {
            let is_up = netmap.addresses().iter().all(|address| addresses.contains(address));
            (if is_up { State::Running } else { State::Joining }, None)
        }
    }
}

fn stats(agent: &Agent) -> HashMap<[u8; 32], PeerStats> {
    let stats = agent.device().map(|device| device.peer_stats()).unwrap_or_default();
    stats.into_iter().map(|stats| (stats.public_key, stats)).collect()
}

fn offload(agent: &Agent) -> Vec<String> {
    let in_force = agent.device().map(|device| device.offload()).unwrap_or_default();
    in_force.names().map(str::to_owned).collect()
}

fn drops(agent: &Agent) -> BTreeMap<String, u64> {
    let drops = agent.device().map(|device| device.drops()).unwrap_or_default();
    drops.into_iter().map(|(cause, count)| (cause.to_owned(), count)).collect()
}

fn node(netmap: &Netmap) -> Option<SelfNode> {
    let node = netmap.node.as_ref()?;
    Some(SelfNode {
        name: netmap.short_name(node),
        stable_id: node.stable_id.clone(),
        addresses: netmap.addresses(),
        node_key: node.key.to_string(),
        key_expiry: node.key_expiry.clone().filter(|time| parse_time(time).is_some()),
    })
}

fn peers(
    netmap: &Netmap,
    stats: &HashMap<[u8; 32], PeerStats>,
    report: &EndpointReport,
) -> Vec<Peer> {
    let mut peers: Vec<Peer> = netmap
        .peers
        .values()
        .map(|node| {
            let stats = stats.get(node.key.as_bytes());
            let path = stats.map_or(Path::None, |stats| stats.path);
            Peer {
                name: netmap.short_name(node),
                stable_id: node.stable_id.clone(),
                addresses: node.addresses.iter().map(ipnet::IpNet::addr).collect(),
                user: user(netmap, node),
                tags: node.tags.clone(),
                online: node.online,
                path: shown(path),
                relay_reason: (path == Path::Relay).then(|| relay::reason(report, node)),
                last_handshake_s: stats
                    .and_then(|stats| stats.last_handshake)
                    .map(|at| at.elapsed().unwrap_or(Duration::ZERO).as_secs()),
                rx_bytes: stats.map_or(0, |stats| stats.rx_bytes),
                tx_bytes: stats.map_or(0, |stats| stats.tx_bytes),
            }
        })
        .collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    peers
}

/// Login of the person whose node it is; `None` for a tagged node.
pub(super) fn user(netmap: &Netmap, node: &Node) -> Option<String> {
    let login = node.tags.is_empty().then(|| netmap.login(node.user)).flatten();
    login.map(str::to_owned)
}

fn shown(path: Path) -> String {
    match path {
        Path::Direct(address) => format!("direct {address}"),
        Path::Relay => "relay".to_owned(),
        Path::None => "none".to_owned(),
    }
}
