//! Accepts connections and serves HTTP.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::{
    accept::{Connections, ShutdownSignal},
    body::with_deadline,
    http::Http,
    problem::ErrorResponse,
    quota::Quota,
    unix::Socket,
    websocket::ConnectionGuard,
    workers::Workers,
};
use common::media;
use hyper::body::{Body as _, Incoming};
use tokio::{net::UnixStream, time::timeout};
use tower::ServiceExt as _;

use crate::{
    close::Connection,
    connection::{Preface, read_preface},
    guard::Guard,
    refusal::Refusal,
    unread_body::UnreadBody,
};

/// Paths of every service that need no identity.
pub const LOCAL_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Root, which may check the health of each service.
const SUPERUSER: u32 = 0;

/// Time for active requests to end at shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// Limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node, so that no node can take them all. Default: 64.
    pub per_node: usize,
    /// Timeout of the mesh header. Default: 2 s (the agent sends it at once).
    pub preface: Duration,
    /// Timeout of a request's head. Default: 30 s.
    pub head: Duration,
    /// Timeout of a request's body. Default: 30 s.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            per_node: 64,
            preface: Duration::from_secs(2),
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
        }
    }
}

/// A service of the mesh behind a UNIX socket.
#[derive(Clone, Debug)]
pub struct Server {
    /// The agent's uid, which names callers. Root may connect, too, without an identity.
    pub caller_uid: u32,
    /// Whether a path besides [`LOCAL_PATHS`] needs no identity. Such requests pass the guard and carry a [`Connection`]
    /// instead of a [`mesh_identity::Header`]: the service must authenticate them. [`health_only`] is for members only.
    pub local: fn(&str) -> bool,
    /// Refuses requests of websites.
    pub guard: Guard,
    /// The response to a refused request of this path; [`problem`] for our own formats.
    pub refused: fn(&str, Refusal) -> Response,
    /// Limits of connections.
    pub limits: Limits,
}

/// Marks a response, in its extensions, that a browser may show: it keeps its type and its own Content-Security-Policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown;

/// No path but the health checks works without an identity.
#[must_use]
pub fn health_only(_path: &str) -> bool {
    false
}

/// A problem document (RFC 9457) for every refused request.
#[must_use]
pub fn problem(_path: &str, refusal: Refusal) -> Response {
    refusal.into_response()
}

impl Server {
    /// Serves `router` until `shutdown` completes; active requests then have 3 seconds.
    ///
    /// Requests of the mesh carry a [`mesh_identity::Header`] in their extensions.
    pub async fn serve(self, socket: Socket, router: Router, shutdown: impl Future<Output = ()>) {
        self.serve_by(None, socket, router, shutdown).await;
    }

    /// Serves like [`Self::serve`], with connections on these threads.
    pub async fn serve_on(
        self,
        workers: &Arc<Workers>,
        socket: Socket,
        router: Router,
        shutdown: impl Future<Output = ()>,
    ) {
        self.serve_by(Some(workers), socket, router, shutdown).await;
    }

    async fn serve_by(
        self,
        workers: Option<&Arc<Workers>>,
        socket: Socket,
        router: Router,
        shutdown: impl Future<Output = ()>,
    ) {
        let nodes = Quota::new(self.limits.connections, self.limits.per_node);
        let connections = Connections::new("connections", self.limits.connections).drain(DRAIN);
        let connections = match workers {
            Some(workers) => connections.on(workers),
            None => connections,
        };
        let moves = workers.is_some();
        let shared = Arc::new(Shared { server: self, router, nodes });
        let connect = |io: UnixStream, uid, stopping| {
            if uid != shared.server.caller_uid && uid != SUPERUSER {
                tracing::warn!(uid, "connection from another process refused");
                return None;
            }
            let shared = Arc::clone(&shared);
            Some(async move {
                // To the current runtime.
                let moved =
                    if moves { io.into_std().and_then(UnixStream::from_std) } else { Ok(io) };
                match moved {
                    Ok(io) => shared.run(io, uid, stopping).await,
                    Err(error) => tracing::warn!(%error, "a connection cannot be moved"),
                }
            })
        };
        connections.serve(socket, shutdown, connect).await;
    }
}

/// The state that connections share.
struct Shared {
    server: Server,
    router: Router,
    nodes: Quota<String>,
}

impl Shared {
    async fn run(self: Arc<Self>, mut io: UnixStream, uid: u32, stopping: ShutdownSignal) {
        let Some(preface) = self.preface(&mut io, uid).await else {
            return;
        };
        let holder = match &preface {
            Preface::Mesh(header) => Some(header.identity.node.as_str()),
            // Local programs together have the quota of a node; no node's id is empty.
            Preface::Local if uid == self.server.caller_uid => Some(""),
            // Health checks of root work even if all connections are in use.
            Preface::Local => None,
        };
        let permit = holder.map(|node| self.nodes.take(node.to_owned())).transpose();
        let guard = match permit {
            Ok(permit) => ConnectionGuard(Arc::new(permit)),
            Err(error) => {
                tracing::warn!(node = holder, %error, "connection refused");
                return;
            }
        };
        let (connection, mut closing) = Connection::new();
        let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
            let own = self.server.guard.body_timeout(request.headers());
            let limit = own.unwrap_or(self.server.limits.body);
            let mut request = request.map(|body| with_deadline(body, limit));
            if request.headers().contains_key(header::UPGRADE) {
                request.extensions_mut().insert(guard.clone());
            }
            // Boxed: the future has some kilobytes, which an idle connection need not hold.
            Box::pin(self.answer(request, &preface, &connection))
        });
        tokio::select! {
            () = Http::new(self.server.limits.head).serve(io, service, stopping) => {}
            () = closing.requested() => tracing::debug!("a connection is closed by its service"),
        }
    }

    /// Reads the preface, if this process may send it.
    async fn preface(&self, io: &mut UnixStream, uid: u32) -> Option<Preface> {
        let preface = match timeout(self.server.limits.preface, read_preface(io)).await {
            Ok(Ok(preface)) => preface,
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection refused");
                return None;
            }
            Err(_) => {
                tracing::debug!("connection refused: no header in time");
                return None;
            }
        };
        if !may_say(uid, self.server.caller_uid, &preface) {
            tracing::warn!(uid, "another process sends an identity: refused");
            return None;
        }
        Some(preface)
    }

    async fn answer(
        &self,
        mut request: Request,
        who: &Preface,
        connection: &Connection,
    ) -> Result<Response, Infallible> {
        let response = match who {
            Preface::Mesh(header) => match self.server.guard.check_mesh(&request, header) {
                Ok(()) => {
                    request.extensions_mut().insert(header.clone());
                    self.route(request).await
                }
                Err(refusal) => {
                    tracing::debug!(node = header.identity.node, %refusal, "request refused");
                    self.refuse(request, refusal).await
                }
            },
            Preface::Local if LOCAL_PATHS.contains(&request.uri().path()) => {
                self.route(request).await
            }
            Preface::Local if (self.server.local)(request.uri().path()) => {
                match self.server.guard.check_local(&request) {
                    Ok(()) => {
                        request.extensions_mut().insert(connection.clone());
                        self.route(request).await
                    }
                    Err(refusal) => {
                        tracing::debug!(%refusal, "request of this machine refused");
                        self.refuse(request, refusal).await
                    }
                }
            }
            Preface::Local => ErrorResponse::new(
                StatusCode::FORBIDDEN,
                "identity",
                "this needs a member of the mesh",
            )
            .detail("Without an identity only the health checks answer.")
            .into_response(),
        };
        Ok(sealed_off(response))
    }

    async fn refuse(&self, request: Request, refusal: Refusal) -> Response {
        let path = request.uri().path().to_owned();
        let (rest, request) = UnreadBody::keep(request);
        drop(request);
        rest.drain(self.server.limits.preface).await;
        (self.server.refused)(&path, refusal)
    }

    async fn route(&self, request: Request) -> Response {
        let (rest, request) = UnreadBody::keep(request);
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        rest.drain(self.server.limits.preface).await;
        response
    }
}

/// Whether a process with this uid may send this preface: only the agent may name a caller.
pub(crate) fn may_say(uid: u32, caller_uid: u32, preface: &Preface) -> bool {
    match preface {
        Preface::Mesh(_) => uid == caller_uid,
        Preface::Local => uid == caller_uid || uid == SUPERUSER,
    }
}

/// Replaces pages that are not [`Shown`] by an error, and sets headers against embedding (CORP), type sniffing and scripts.
fn sealed_off(response: Response) -> Response {
    let is_shown = response.extensions().get::<Shown>().is_some();
    let mut response = if is_shown || is_no_page(&response) {
        response
    } else {
        tracing::error!(kind = ?response.headers().get(header::CONTENT_TYPE), "a response could be a page: replaced");
        let title = "the service made an answer of a type that it does not send";
        ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "page", title).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    if !(is_shown && headers.contains_key(header::CONTENT_SECURITY_POLICY)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers
        .entry("cross-origin-resource-policy")
        .or_insert(HeaderValue::from_static("same-origin"));
    response
}

/// Whether its type is not a page's, or it has no body.
fn is_no_page(response: &Response) -> bool {
    let mut types = response.headers().get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) => media::is_no_page(only.as_bytes()),
        (None, _) => response.body().size_hint().exact() == Some(0),
        (Some(_), Some(_)) => false,
    }
}
