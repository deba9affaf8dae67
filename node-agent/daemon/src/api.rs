//! The local API, `docs/protocols/local-api.md`.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State as Ctx, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{
    endpoint::{self, Endpoint, get, post},
    problem::ErrorResponse,
};
use coordinator_api::invitation::Destination;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use node_agent_api::{JOIN, Join, LEAVE, STATUS, Status};
use node_agent_core::netmap::Naming;
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use crate::{agent::Agent, places::Places, state::Membership};

mod status;

/// Connections of one user at once.
const PER_USER: usize = 32;
/// Connections at once of all users but root.
const USERS: usize = 128;
/// Wait after an accept that failed, for want of file descriptors say.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What the local API asks of the agent.
#[derive(Debug)]
pub enum Command {
    /// Join that network; the sender is dropped when that has begun.
    Join(Box<Membership>, oneshot::Sender<()>),
    /// Leave the network; the sender is dropped when that is done.
    Leave(oneshot::Sender<()>),
}

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Where commands go.
    pub commands: mpsc::Sender<Command>,
}

/// The uid at the other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Caller {
    uid: Option<u32>,
}

/// How long callers may take, since anyone on this machine may call.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the head of a request.
    pub head: Duration,
    /// For all of it, the answer included.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), whole: Duration::from_secs(60) }
    }
}

/// Binds the socket, for everyone to connect to; creates its directory if it is missing.
///
/// # Errors
///
/// Fails if that is not possible there.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Serves the local API until the future is dropped. One request a connection.
pub async fn serve(listener: UnixListener, api: Api, timeouts: Timeouts) {
    let router = router(api);
    // Whatever the others do, root is answered.
    let (roots, others) = (Places::new(PER_USER, PER_USER), Places::new(USERS, PER_USER));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a local connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let caller = Caller { uid: stream.peer_cred().ok().map(|cred| cred.uid()) };
        let places = if caller.uid == Some(0) { &roots } else { &others };
        let Some(place) = places.take(caller.uid) else {
            tracing::warn!(uid = caller.uid, "too many local connections of a user: one refused");
            continue;
        };
        let router = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(caller));
                router.call(request)
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeouts.head)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if !matches!(timeout(timeouts.whole, connection).await, Ok(Ok(()))) {
                tracing::debug!(uid = caller.uid, "a local connection ended early");
            }
            drop(place);
        });
    }
}

/// What it answers.
pub(crate) fn endpoints() -> [Endpoint<Api>; 3] {
    [get(STATUS, status), post(JOIN, join), post(LEAVE, leave)]
}

fn router(api: Api) -> Router {
    endpoint::router(endpoints()).fallback(|| async { Refused::NotFound }).with_state(api)
}

async fn status(Ctx(api): Ctx<Api>) -> Json<Status> {
    Json(status::of(&api.agent))
}

async fn join(
    Ctx(api): Ctx<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    body: Result<Json<Join>, JsonRejection>,
) -> Result<(StatusCode, Json<Status>), Refused> {
    caller.must_be_root()?;
    let Json(join) = body.map_err(Refused::Request)?;
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
    caller.must_be_root()?;
    let (done, left) = oneshot::channel();
    api.commands.send(Command::Leave(done)).await.map_err(|_| Refused::Stopping)?;
    let _ = left.await;
    Ok(Json(status::of(&api.agent)))
}

/// What joining would make of this device.
fn membership(agent: &Agent, join: Join) -> Result<Membership, Refused> {
    let destination =
        Destination::read(&join.url).map_err(|error| Refused::Invitation(error.to_string()))?;
    let server_url = server_url(&destination)?;
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
        return Err(Refused::Joined(if other {
            format!(
                "this invitation is for another coordinator than {}, to which this device belongs: run `maru leave` first",
                current.server_url
            )
        } else {
            format!("this device belongs to {} already: nothing is to be done", current.server_url)
        }));
    }
    let key = join.key.filter(|key| !key.is_empty());
    if key.is_some() && auth_key.is_some() {
        return Err(Refused::Invitation(
            "the invitation holds a pre-auth key already: leave out the other".to_owned(),
        ));
    }
    Ok(Membership {
        server_url,
        noise_key,
        auth_key: auth_key.or(key),
        hostname: join.hostname.filter(|name| !name.is_empty()),
        registered: false,
        naming: Naming::Open,
    })
}

/// The coordinator's address, if this agent can speak with what is there.
fn server_url(destination: &Destination) -> Result<String, Refused> {
    let server = destination.server();
    if !server.is_plain() {
        return Err(Refused::Invitation(format!(
            "the coordinator is reached by {server}, and this agent does not speak HTTPS yet: ask the admin for an invitation by an http:// address (`server_url` in coordinator.toml)"
        )));
    }
    Ok(server.to_string())
}

impl Caller {
    fn must_be_root(self) -> Result<(), Refused> {
        if self.uid == Some(0) { Ok(()) } else { Err(Refused::NotRoot) }
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("only the administrator of this machine can do that: run the command as root")]
    NotRoot,
    #[error("the body is not what /v1/join takes: {}", .0.body_text())]
    Request(JsonRejection),
    #[error("{0}")]
    Invitation(String),
    #[error("{0}")]
    Joined(String),
    #[error("there is no such path; see docs/protocols/local-api.md")]
    NotFound,
    #[error("the agent is stopping: try again when it runs")]
    Stopping,
}

impl Refused {
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotRoot => (StatusCode::FORBIDDEN, "not-root", "not root"),
            Self::Request(rejection) => (rejection.status(), "request", "unusable request"),
            Self::Invitation(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invitation", "not an invitation")
            }
            Self::Joined(_) => (StatusCode::CONFLICT, "joined", "joined already"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "not found"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "stopping"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.kind();
        let detail = self.to_string().replace('\n', " ");
        ErrorResponse::new(status, kind, title).detail(detail).into_response()
    }
}

#[cfg(test)]
mod tests;
