//! The status of this node as the router of WireGuard devices.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use messages::Message;
use node_agent_api::{
    ProblemMessage,
    wireguard::{WireguardPeer, WireguardStatus},
};
use node_agent_core::{filter::Ranges, netmap::Netmap};

use crate::agent::Agent;

/// How it stands; `None` if the settings do not make this node a router.
pub(super) fn of(agent: &Agent, netmap: &Netmap) -> Option<WireguardStatus> {
    let settings = agent.config.settings.wireguard?;
    let key = agent.wireguard_key().ok()?.public();
    let (speaker, problem) = {
        let state = agent.wireguard();
        (state.speaker.clone(), state.problem.clone())
    };
    let states = speaker.as_ref().map_or_else(HashMap::new, |speaker| speaker.states());
    let now = SystemTime::now();
    let plan = netmap.wireguard(&agent.config.routes, &Ranges::default());
    let devices = plan.devices.into_iter().map(|device| {
        let state = states.get(device.key.as_bytes()).copied().unwrap_or_default();
        let since = |at| now.duration_since(at).unwrap_or(Duration::ZERO).as_secs();
        WireguardPeer {
            node: device.stable_id,
            name: device.name,
            endpoint: state.endpoint,
            last_handshake_s: state.last_handshake.map(since),
            rx_bytes: state.received,
            tx_bytes: state.sent,
        }
    });
    let mut devices: Vec<_> = devices.collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Some(WireguardStatus {
        kind: speaker.map(|speaker| speaker.kind()),
        port: settings.port.get(),
        key: STANDARD.encode(key.as_bytes()),
        problem: problem.as_ref().map(ToString::to_string),
        problem_message: problem.and_then(Message::into_parts).map(ProblemMessage::from),
        devices,
    })
}
