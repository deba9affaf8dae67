//! The local API, `docs/protocols/local-api.md`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, Request, State as Ctx},
    http::StatusCode,
};
use chassis::{
    accept::Connections,
    body,
    endpoint::{self, Served},
    http::Http,
    quota::Quota,
    unix::Socket,
};
use coordinator_api::invitation::{Destination, ServerUrl};
use messages::message;
use node_agent_api::{
    Authority, Join, NetCheck, Pong, State, Status, Whois,
    endpoints::{AUTHORITY, JOIN, LEAVE, NETCHECK, PAUSE, PING, RESUME, STATUS, WHOIS},
};
use node_agent_core::netmap::Naming;
use tokio::sync::{mpsc, oneshot};

use crate::{agent::Agent, control::tls, state::Membership};

mod authority;
mod netcheck;
mod node;
mod refused;
mod relay;
mod status;
mod wireguard;

use node::PingQuota;
use refused::Refused;

/// Connections of one user at once.
const PER_USER: usize = 32;
/// Longest body of a join, in bytes.
const JOIN_MAX: usize = 64 * 1024;
/// Timeout of that body.
const JOIN_TIME: Duration = Duration::from_secs(10);
/// Connections at once of all users but root.
const USERS: usize = 128;

/// A command of the local API to the agent.
#[derive(Debug)]
pub(crate) enum Command {
    /// Join that network; the sender is dropped when joining has begun.
    Join(Box<Membership>, oneshot::Sender<()>),
    /// Leave the network; the sender is dropped when that is done.
    Leave(oneshot::Sender<()>),
    /// Take the tunnel down; the sender is dropped when that is done.
    Pause(oneshot::Sender<()>),
    /// Bring the tunnel up again; the sender is dropped when that is done.
    Resume(oneshot::Sender<()>),
}

/// Context of the handlers.
#[derive(Clone)]
pub(crate) struct Api {
    /// The agent.
    agent: Arc<Agent>,
    /// Where commands go.
    commands: mpsc::Sender<Command>,
    /// The tunnel's interface.
    interface: String,
    /// Bounds the pings of each user.
    pings: PingQuota,
}

impl Api {
    pub(crate) fn new(
        agent: Arc<Agent>,
        commands: mpsc::Sender<Command>,
        interface: String,
    ) -> Self {
        Self { agent, commands, interface, pings: PingQuota::default() }
    }
}

/// The uid at the other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Caller {
    uid: u32,
}

/// Timeouts of callers; every user of this machine may connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For the head of a request.
    pub(crate) head: Duration,
    /// For all of it, the answer included.
    pub(crate) whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), whole: Duration::from_secs(60) }
    }
}

/// Serves the local API until the future is dropped. One request a connection.
pub(crate) async fn serve(socket: Socket, api: Api, timeouts: Timeouts) {
    let router = router(api);
    let http = Http::new(timeouts.head).one_request(timeouts.whole);
    // Root has its own quota, so that other users cannot lock it out.
    let (roots, others) = (Quota::new(PER_USER, PER_USER), Quota::new(USERS, PER_USER));
    let connect = |stream, uid, stopping| {
        let quota = if uid == 0 { &roots } else { &others };
        let permit = match quota.take(uid) {
            Ok(permit) => permit,
            Err(error) => {
                tracing::warn!(uid, %error, "a local connection is refused");
                return None;
            }
        };
        let answered = http.route(stream, router.clone(), ConnectInfo(Caller { uid }), stopping);
        Some(async move {
            answered.await;
            drop(permit);
        })
    };
    let connections = Connections::new("local connections", USERS + PER_USER);
    connections.serve(socket, std::future::pending(), connect).await;
}

/// The endpoints.
pub(crate) fn endpoints() -> [Served<Api>; 9] {
    [
        endpoint::serve(&STATUS, status),
        endpoint::serve(&AUTHORITY, authority),
        endpoint::serve(&NETCHECK, netcheck),
        endpoint::serve(&JOIN, join),
        endpoint::serve(&LEAVE, leave),
        endpoint::serve(&PAUSE, pause),
        endpoint::serve(&RESUME, resume),
        endpoint::serve(&WHOIS, whois),
        endpoint::serve(&PING, ping),
    ]
}

fn router(api: Api) -> Router {
    endpoint::router(endpoints()).fallback(|| async { Refused::NotFound }).with_state(api)
}

async fn status(Ctx(api): Ctx<Api>) -> Json<Status> {
    Json(status::of(&api.agent))
}

async fn netcheck(Ctx(api): Ctx<Api>) -> Json<NetCheck> {
    Json(netcheck::of(&api.agent).await)
}

async fn authority(Ctx(api): Ctx<Api>) -> Result<Json<Authority>, Refused> {
    let found = authority::of(&api.agent, &api.interface).await;
    found.map(Json).ok_or(Refused::NoHttps)
}

async fn join(
    Ctx(api): Ctx<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
) -> Result<(StatusCode, Json<Status>), Refused> {
    caller.must_be_root()?;
    let join = body::json(request, JOIN_MAX, JOIN_TIME).await.map_err(Refused::Request)?;
    let membership = membership(&api.agent, join)?;
    let (done, begun) = oneshot::channel();
    let command = Command::Join(Box::new(membership), done);
    api.commands.send(command).await.map_err(|_| Refused::Stopping)?;
    let _ = begun.await;
    Ok((StatusCode::ACCEPTED, Json(status::of(&api.agent))))
}

async fn leave(
    Ctx(api): Ctx<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Result<Json<Status>, Refused> {
    api.perform(caller, Command::Leave).await
}

async fn whois(Ctx(api): Ctx<Api>, Path(text): Path<String>) -> Result<Json<Whois>, Refused> {
    node::whois(&api.agent, &text).map(Json)
}

async fn ping(
    Ctx(api): Ctx<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(text): Path<String>,
) -> Result<Json<Pong>, Refused> {
    api.pings.count(caller.uid)?;
    node::ping(&api.agent, &text).await.map(Json)
}

async fn pause(
    Ctx(api): Ctx<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Result<Json<Status>, Refused> {
    caller.must_be_root()?;
    api.must_be_a_member()?;
    api.perform(caller, Command::Pause).await
}

async fn resume(
    Ctx(api): Ctx<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Result<Json<Status>, Refused> {
    caller.must_be_root()?;
    api.must_be_a_member()?;
    api.perform(caller, Command::Resume).await
}

impl Api {
    /// Waits until the agent has done what root asked for.
    async fn perform(
        &self,
        caller: Caller,
        command: impl FnOnce(oneshot::Sender<()>) -> Command,
    ) -> Result<Json<Status>, Refused> {
        caller.must_be_root()?;
        let (sender, done) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| Refused::Stopping)?;
        let _ = done.await;
        Ok(Json(status::of(&self.agent)))
    }

    fn must_be_a_member(&self) -> Result<(), Refused> {
        if self.agent.membership().is_some() {
            return Ok(());
        }
        let state = State::NeedsJoin.name();
        Err(Refused::NotANode(message!("problem-not-a-node", state)))
    }
}

/// The membership that a request asks for.
fn membership(agent: &Agent, join: Join) -> Result<Membership, Refused> {
    let destination =
        Destination::read(&join.url).map_err(|error| Refused::Invitation(error.message()))?;
    let server_url = destination.server().to_string();
    let ca = authorities(join.ca, destination.server())?;
    let (noise_key, auth_key) = match destination {
        Destination::Invitation(invitation) => {
            (Some(invitation.noise_key), Some(invitation.auth_key.reveal().to_owned()))
        }
        Destination::Address(_) => (None, None),
    };
    let current =
        agent.membership().filter(|membership| membership.registered && !agent.is_expired());
    if let Some(current) = current {
        let other = noise_key.is_some_and(|key| current.noise_key != Some(key));
        let url = current.server_url;
        return Err(Refused::Joined(match other {
            true => message!("problem-joined-elsewhere", url),
            false => message!("problem-joined-here", url),
        }));
    }
    let key = join.key.filter(|key| !key.is_empty());
    if key.is_some() && auth_key.is_some() {
        return Err(Refused::Invitation(message!("problem-invitation-two-keys")));
    }
    Ok(Membership {
        server_url,
        noise_key,
        auth_key: auth_key.or(key),
        hostname: join.hostname.filter(|name| !name.is_empty()),
        ca,
        registered: false,
        naming: Naming::Open,
    })
}

/// Checks the authorities that a coordinator's certificate must come from.
fn authorities(ca: Option<String>, server: &ServerUrl) -> Result<Option<String>, Refused> {
    let Some(ca) = ca else { return Ok(None) };
    if server.is_plain() {
        return Err(Refused::Invitation(message!("problem-invitation-plain-ca", server)));
    }
    match tls::check(&ca) {
        Ok(()) => Ok(Some(ca)),
        Err(error) => Err(Refused::Invitation(error.message())),
    }
}

impl Caller {
    fn must_be_root(self) -> Result<(), Refused> {
        if self.uid == 0 { Ok(()) } else { Err(Refused::NotRoot) }
    }
}

#[cfg(test)]
mod tests;
