//! Accepting connections and serving HTTP on them.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::problem::ErrorResponse;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};
use tower::ServiceExt as _;

use crate::{Guard, Preface, read_preface};

/// What a connection without an identity may ask for.
pub const LOCAL_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The superuser, who may ask each service of this machine whether it is well.
const SUPERUSER: u32 = 0;

/// Wait after an accept that failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How much of a refused request's body is taken in before the answer, in bytes.
const UNREAD: usize = 64 << 10;
/// How long the replies under way may take to end once the service is asked to stop.
const DRAIN: Duration = Duration::from_secs(3);

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node, so that no node can take them all. Default: 64.
    pub per_node: usize,
    /// How long the mesh header may take. Default: 2 s (the agent sends it at once).
    pub preface: Duration,
    /// How long a request's head may take. Default: 30 s.
    pub head: Duration,
    /// How long a request's body may take. Default: 30 s.
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
    /// Processes with this uid may say who is calling. The superuser's may connect too, for the health checks alone.
    pub caller_uid: u32,
    /// Refuses what a foreign website caused.
    pub guard: Guard,
    /// Bounds on connections.
    pub limits: Limits,
}

impl Server {
    /// Serves `router` until `shutdown` completes; replies under way then have 3 seconds.
    ///
    /// Requests of the mesh carry a [`mesh_identity::Header`] in their extensions.
    pub async fn serve(
        self,
        listener: UnixListener,
        router: Router,
        shutdown: impl Future<Output = ()>,
    ) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let (stop, stopping) = watch::channel(());
        let shared = Arc::new(Shared { server: self, router, nodes: Mutex::default() });
        let mut tasks = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((io, _)) => {
                        if let Some(admitted) = shared.admit(&io, &slots) {
                            tasks.spawn(Arc::clone(&shared).run(io, stopping.clone(), admitted));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        drop(stopping);
        let _ = stop.send(());
        if timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!(connections = tasks.len(), "replies under way are cut");
        }
    }
}

/// What the connections of one server share.
struct Shared {
    server: Server,
    router: Router,
    nodes: Mutex<HashMap<String, usize>>,
}

/// A connection that was taken, from a process with this uid.
struct Admitted {
    uid: u32,
    _slot: OwnedSemaphorePermit,
}

impl Shared {
    /// Takes a connection from a process that may connect, if there is room for it.
    fn admit(&self, io: &UnixStream, slots: &Arc<Semaphore>) -> Option<Admitted> {
        let uid = match io.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "connection without credentials refused");
                return None;
            }
        };
        if uid != self.server.caller_uid && uid != SUPERUSER {
            tracing::warn!(uid, "connection from another process refused");
            return None;
        }
        let slot = Arc::clone(slots).try_acquire_owned();
        if slot.is_err() {
            tracing::warn!("too many connections, one refused");
        }
        Some(Admitted { uid, _slot: slot.ok()? })
    }

    async fn run(
        self: Arc<Self>,
        mut io: UnixStream,
        mut stopping: watch::Receiver<()>,
        admitted: Admitted,
    ) {
        let Some(preface) = self.preface(&mut io, admitted.uid).await else {
            return;
        };
        let _place = match &preface {
            Preface::Mesh(header) => match self.place(&header.identity.node) {
                Some(place) => Some(place),
                None => {
                    tracing::warn!(node = header.identity.node, "too many connections of a node");
                    return;
                }
            },
            Preface::Local => None,
        };
        let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
            let deadline = Box::pin(sleep(self.server.limits.body));
            self.answer(request.map(|body| Body::new(Timed { body, deadline })), &preface)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.server.limits.head)
                .serve_connection(TokioIo::new(io), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended early");
        }
    }

    /// Reads what comes first, if this process may say it.
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
            tracing::warn!(uid, "another process says who is calling: refused");
            return None;
        }
        Some(preface)
    }

    async fn answer(&self, mut request: Request, who: &Preface) -> Result<Response, Infallible> {
        let response = match who {
            Preface::Mesh(header) => match self.server.guard.check(&request, header.destination) {
                Ok(()) => {
                    request.extensions_mut().insert(header.clone());
                    self.route(request).await
                }
                Err(refusal) => {
                    tracing::debug!(node = header.identity.node, %refusal, "request refused");
                    // A caller still sending when the connection closes might lose the answer.
                    let unread = axum::body::to_bytes(request.into_body(), UNREAD);
                    drop(timeout(self.server.limits.preface, unread).await);
                    refusal.into_response()
                }
            },
            Preface::Local if LOCAL_PATHS.contains(&request.uri().path()) => {
                self.route(request).await
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

    async fn route(&self, request: Request) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Takes one of a node's places.
    fn place(self: &Arc<Self>, node: &str) -> Option<Place> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = nodes.entry(node.to_owned()).or_default();
        if *count >= self.server.limits.per_node {
            return None;
        }
        *count += 1;
        Some(Place { shared: Arc::clone(self), node: node.to_owned() })
    }
}

/// Whether a process with this uid may begin a connection so: the caller's names people, the superuser's asks for
/// health in nobody's name.
pub(crate) fn may_say(uid: u32, caller_uid: u32, preface: &Preface) -> bool {
    match preface {
        Preface::Mesh(_) => uid == caller_uid,
        Preface::Local => uid == caller_uid || uid == SUPERUSER,
    }
}

/// A body that must have come by its deadline.
struct Timed {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => self
                .deadline
                .as_mut()
                .poll(context)
                .map(|()| Some(Err("the body took too long".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One connection of a node, counted while it lasts.
struct Place {
    shared: Arc<Shared>,
    node: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut nodes = self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = nodes.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(&self.node);
            }
        }
    }
}

/// Tells browsers not to lend the answer to other sites (CORP) nor to guess its type.
fn sealed_off(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry("cross-origin-resource-policy")
        .or_insert(HeaderValue::from_static("same-origin"));
    response
}
