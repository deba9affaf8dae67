//! The map stream and the endpoint reports.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use control_protocol::{
    CAPABILITY_VERSION, frame,
    map::{self, Hostinfo, MapRequest, NetInfo, WireguardRouter},
};
use hyper::body::{Body, Bytes};
use messages::message;
use node_agent_api::State;
use node_agent_core::netmap::{self, parse_time};
use tokio::{sync::Notify, time::timeout};

use super::channel::{Channel, ControlEnd, SessionEnd};
use crate::agent::Agent;

/// Longest silence of the stream; the coordinator sends keep-alives.
const WATCHDOG: Duration = Duration::from_secs(map::SILENCE_S);
/// How long a short request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Follows the map until the stream ends.
pub(super) async fn follow(agent: &Arc<Agent>, channel: &Channel) -> SessionEnd {
    let request = MapRequest {
        compress: map::ZSTD.to_owned(),
        keep_alive: true,
        stream: true,
        ..request(agent)
    };
    let response = match timeout(PATIENCE, channel.start(map::PATH, &request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return error.into(),
        Err(_) => return SessionEnd::Transient(message!("problem-agent-no-answer")),
    };
    match response.status().as_u16() {
        200 => {}
        // Another machine's node, a removed one, or an expired key: registration tells which.
        401 | 403 | 404 => return SessionEnd::NotRegistered,
        status => {
            return SessionEnd::Transient(message!("problem-agent-status", status));
        }
    }
    let started = Notify::new();
    tokio::select! {
        lost = read(agent, response.into_body(), &started, WATCHDOG) => lost,
        lost = report(agent, channel, &started) => lost,
    }
}

async fn read<B>(agent: &Agent, mut body: B, started: &Notify, silence: Duration) -> SessionEnd
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut decoder = frame::Decoder::new(frame::MAX_BODY_LEN);
    let mut first = true;
    loop {
        let piece = match timeout(silence, chassis::body::frame(&mut body)).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_)) | None) => {
                return SessionEnd::Transient(message!("problem-agent-stream-closed"));
            }
            Err(_) => {
                return SessionEnd::Transient(message!("problem-agent-no-keep-alives"));
            }
        };
        let Ok(data) = piece.into_data() else { continue };
        decoder.handle_bytes(&data);
        loop {
            let message = match decoder.poll_body() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return SessionEnd::Transient(error.to_string().into()),
            };
            let Some(message) = netmap::decode(&message) else {
                return SessionEnd::Transient(message!("problem-agent-invalid-map"));
            };
            if message.keep_alive {
                continue;
            }
            let control_time = message.control_time.as_deref().and_then(parse_time);
            if let Some(time) = control_time {
                agent.clock.set(time);
            }
            if !agent.apply_map(message, first) {
                return SessionEnd::Transient(message!("problem-agent-not-in-map"));
            }
            if let Some(lost) = record_status(agent, control_time) {
                return lost;
            }
            if std::mem::take(&mut first) {
                agent.attempts.reset();
                started.notify_one();
            }
        }
    }
}

/// Records whether this node is approved and its key valid, by the map. Expiry is judged by the coordinator's clock: with a
/// fast local clock the node would register new keys for ever.
fn record_status(agent: &Agent, control_time: Option<SystemTime>) -> Option<SessionEnd> {
    let netmap = agent.netmap.borrow().clone();
    let node = netmap.node.as_ref()?;
    if netmap.is_expired(control_time) {
        return Some(SessionEnd::Final(ControlEnd::KeyExpired));
    }
    let state = if node.machine_authorized { State::Running } else { State::WaitingForApproval };
    agent.progress.send_if_modified(|progress| {
        let changed = progress.state != state || !progress.connected;
        if changed {
            tracing::info!(state = state.name(), "connected to the coordinator");
        }
        progress.state = state;
        progress.connected = true;
        progress.auth_url = None;
        progress.refusal = None;
        let health = || netmap.health.first().map(|text| text.as_str().into());
        progress.problem = netmap.problem().or_else(health);
        changed
    });
    None
}

/// Reports this node's endpoints to the coordinator, now and after each change.
async fn report(agent: &Agent, channel: &Channel, started: &Notify) -> SessionEnd {
    started.notified().await;
    let mut changes = agent.report.subscribe();
    loop {
        changes.mark_unchanged();
        let request = MapRequest { omit_peers: true, ..request(agent) };
        let sent = channel.post(map::PATH, &request, map::MAX_REQUEST_LEN);
        match timeout(PATIENCE, sent).await {
            Ok(Ok(reply)) if reply.status == 200 => {}
            Ok(Ok(reply)) if matches!(reply.status, 401 | 403 | 404) => {
                return SessionEnd::NotRegistered;
            }
            Ok(Ok(reply)) => {
                tracing::warn!(status = reply.status, "the coordinator refused the endpoints")
            }
            Ok(Err(error)) => return error.into(),
            Err(_) => return SessionEnd::Transient(message!("problem-agent-no-answer")),
        }
        if changes.changed().await.is_err() {
            return SessionEnd::Transient(message!("problem-agent-stops"));
        }
    }
}

fn request(agent: &Agent) -> MapRequest {
    let (node_key, _) = agent.node_keys();
    let (endpoints, endpoint_types) = agent.report.borrow().endpoints.iter().copied().unzip();
    MapRequest {
        version: CAPABILITY_VERSION,
        node_key,
        disco_key: agent.disco_key(),
        hostinfo: Some(hostinfo(agent)),
        endpoints,
        endpoint_types,
        ..MapRequest::default()
    }
}

/// The description of this machine that the coordinator gets.
pub(super) fn hostinfo(agent: &Agent) -> Hostinfo {
    let report = agent.report.borrow();
    let net_info = report.home.map(|preferred_derp| NetInfo { preferred_derp });
    Hostinfo {
        ipn_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: "linux".to_owned(),
        app: Hostinfo::MARU.to_owned(),
        hostname: agent.hostname(),
        machine: std::env::consts::ARCH.to_owned(),
        no_logs_no_support: true,
        net_info,
        routable_ips: agent.config.routes.offered.clone(),
        shields_up: agent.config.settings.shields_up,
        maru_wireguard: agent.config.settings.wireguard.and_then(|settings| {
            let key = agent.wireguard_key().ok()?.public();
            Some(WireguardRouter { key, port: settings.port.get() })
        }),
        ..Hostinfo::default()
    }
}

#[cfg(test)]
mod tests;
