//! The control client: registers this device and follows the network map.
//!
//! ```text
//!            ┌── lost: wait, longer each time ──┐
//!            ▼                                  │
//!   open the channel ──▶ register, if not yet ──▶ follow the map, report endpoints
//! ```
//!
//! Packets do not wait for the coordinator: while it is away, the last map stays in force.

use std::{sync::Arc, time::Instant};

use control_protocol::{
    key::MachinePublic,
    noise::NoiseError,
    register::{self, RegisterResponse},
};
use control_stream::client::ConnectError;
use messages::message;
use node_agent_api::State;
use node_agent_core::registration::{self, Action, Registration, Status};

use crate::{agent::Agent, state::Membership};

pub(crate) mod certificate;
pub mod channel;
mod map;
pub mod server;
pub(crate) mod tls;

pub(crate) use channel::ControlEnd;
use channel::{Channel, ChannelError, Reply, SessionEnd};
use map::hostinfo;
use server::Server;

/// Keeps this device registered and its map current. Returns only when a retry cannot help.
pub(crate) async fn run(agent: Arc<Agent>) -> ControlEnd {
    let mut changes = agent.network_changes.subscribe();
    loop {
        changes.mark_unchanged();
        let ended = tokio::select! {
            ended = session(&agent) => ended,
            _ = changes.changed() => {
                // The connection may be dead, which it would say only after a long silence.
                agent.progress.send_modify(|progress| progress.connected = false);
                continue;
            }
        };
        let lost = match ended {
            SessionEnd::Final(ended) => {
                if ended == ControlEnd::KeyExpired {
                    // The next key may expire as soon as this one did.
                    agent.attempts.wait().await;
                }
                return ended;
            }
            SessionEnd::NotRegistered => {
                tracing::warn!("the coordinator does not know this node: registering again");
                agent.change_membership(|membership| membership.registered = false);
                message!("problem-agent-unknown-node")
            }
            SessionEnd::Transient(reason) => {
                tracing::info!(%reason, "no connection to the coordinator; trying again");
                reason
            }
        };
        agent.progress.send_modify(|progress| {
            progress.connected = false;
            if progress.state != State::WaitingForApproval {
                progress.problem = Some(lost);
            }
        });
        tokio::select! {
            () = agent.attempts.wait() => {}
            _ = changes.changed() => agent.attempts.reset(),
        }
    }
}

/// One connection to the coordinator, from its opening to its end.
async fn session(agent: &Arc<Agent>) -> SessionEnd {
    let Some(membership) = agent.membership() else {
        return SessionEnd::Final(ControlEnd::Refused(message!("problem-agent-not-joining")));
    };
    match open(agent, &membership).await {
        Ok(channel) => {
            if !membership.registered
                && let Err(lost) = register(agent, &channel, &membership).await
            {
                return lost;
            }
            map::follow(agent, &channel).await
        }
        Err(lost) => lost,
    }
}

/// Opens the channel to the coordinator; its key is pinned at the first contact.
async fn open(agent: &Agent, membership: &Membership) -> Result<Channel, SessionEnd> {
    let server = Server::of(membership);
    let key = match membership.noise_key {
        // The handshake proves it; the plain HTTP answer is not authenticated.
        Some(key) => key,
        None => pin_key(agent, server).await?,
    };
    match Channel::open(server, &agent.machine_key(), key, &agent.forwarder).await {
        Ok(channel) => Ok(channel),
        Err(ChannelError::Connect(error)) => {
            Err(connect_error(agent, membership, key, error).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// Decides what follows when the channel to the coordinator cannot be opened.
///
/// A registered node retries: an attacker on the path can break a handshake. A device with an invitation gives up, since a
/// new invitation can be made.
async fn connect_error(
    agent: &Agent,
    membership: &Membership,
    key: MachinePublic,
    error: ConnectError,
) -> SessionEnd {
    let url = &membership.server_url;
    let is_first = membership.auth_key.is_some()
        && agent.progress.borrow().state == State::Joining
        && matches!(error, ConnectError::Status(_) | ConnectError::Noise(_));
    let server = Server::of(membership);
    if is_first && channel::fetch_key(server, &agent.forwarder).await.is_ok_and(|seen| seen != key)
    {
        let other = message!("problem-agent-other-coordinator", url);
        return SessionEnd::Final(ControlEnd::Refused(other));
    }
    if matches!(error, ConnectError::Noise(NoiseError::Handshake) | ConnectError::Status(400)) {
        return SessionEnd::Transient(message!("problem-agent-other-key", url));
    }
    ChannelError::Connect(error).into()
}

async fn pin_key(agent: &Agent, server: Server<'_>) -> Result<MachinePublic, SessionEnd> {
    let key = channel::fetch_key(server, &agent.forwarder).await?;
    tracing::warn!(%key, url = server.url, "pinned the coordinator's key at first use");
    agent.change_membership(|membership| membership.noise_key = Some(key));
    Ok(key)
}

/// Registers the node key: at once, or as soon as the administrator approves.
async fn register(
    agent: &Agent,
    channel: &Channel,
    membership: &Membership,
) -> Result<(), SessionEnd> {
    let (node_key, old_node_key) = agent.node_keys();
    let hostinfo = hostinfo(agent);
    let auth_key = membership.auth_key.clone();
    let mut registration = Registration::new(node_key, old_node_key, auth_key, hostinfo);
    loop {
        if let Some(Action::SendRegister(request)) = registration.poll_action() {
            let Reply { status, body } =
                channel.post(register::PATH, &*request, register::MAX_LEN).await?;
            if status != 200 {
                let said = registration::showable(String::from_utf8_lossy(&body).trim());
                return Err(SessionEnd::Transient(match status {
                    503 if !said.is_empty() => message!("problem-agent-busy", said),
                    _ => message!("problem-agent-status", status),
                }));
            }
            let response: RegisterResponse = serde_json::from_slice(&body)
                .map_err(|_| SessionEnd::Transient(message!("problem-agent-invalid-answer")))?;
            registration.handle_response(&response, Instant::now());
            if settle(agent, registration.status())? {
                return Ok(());
            }
        }
        if let Some(at) = registration.poll_timeout() {
            tokio::time::sleep_until(at.into()).await;
        }
        registration.handle_timeout(Instant::now());
    }
}

/// Records the registration's status; returns whether it is done.
fn settle(agent: &Agent, status: &Status) -> Result<bool, SessionEnd> {
    match status {
        Status::Registered => {
            tracing::info!("registered");
            agent.progress.send_modify(|progress| progress.refusal = None);
            agent.change_state(|state| {
                state.old_node_key = None;
                state.former = None;
                if let Some(membership) = &mut state.membership {
                    membership.registered = true;
                    membership.auth_key = None;
                }
            });
            Ok(true)
        }
        Status::Waiting { auth_url } => {
            // The coordinator said explicitly that this device is not a node.
            agent.clear_netmap();
            agent.confirm_join();
            agent.progress.send_if_modified(|progress| {
                let changed = progress.state != State::WaitingForApproval;
                progress.state = State::WaitingForApproval;
                progress.problem = None;
                progress.auth_url.clone_from(auth_url);
                if changed {
                    tracing::info!("waiting for the administrator's approval");
                }
                true
            });
            Ok(false)
        }
        Status::KeyExpired => Err(SessionEnd::Final(ControlEnd::KeyExpired)),
        Status::Refused { reason } => {
            Err(SessionEnd::Final(ControlEnd::Refused(message!("problem-agent-refused", reason))))
        }
        Status::Unknown => Ok(false),
    }
}

/// Logs this node out: the coordinator ends its key.
pub(crate) async fn logout(agent: &Agent) -> Result<(), ChannelError> {
    let Some(membership) = agent.membership().filter(|membership| membership.registered) else {
        return Ok(());
    };
    let Some(key) = membership.noise_key else { return Ok(()) };
    let server = Server::of(&membership);
    let channel = Channel::open(server, &agent.machine_key(), key, &agent.forwarder).await?;
    let (node_key, _) = agent.node_keys();
    let request = registration::logout(node_key);
    channel.post(register::PATH, &request, register::MAX_LEN).await.map(drop)
}

#[cfg(test)]
mod tests;
