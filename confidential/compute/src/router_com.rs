//! `maru-compute router-com`: serves the router, and sees only sealed bytes.
//!
//! ```text
//! POST /        ──▶ boot: WORK, BODY ──▶ the worker's sealed response, as it arrives
//! POST /attest  ──▶ boot: EVIDENCE
//! GET  /_health ──▶ boot: LOOK
//! ```
//!
//! It sends a heartbeat to the router every few seconds. When it is asked to stop, it unregisters and drains open requests.

mod boot;
mod register;
mod upstream;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header as http_header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chassis::{
    accept::{Connections, ShutdownSignal},
    body::BodyReader,
    connection_limit::{ConnectionLimit, PendingConnection},
    endpoint::{self, Declaration},
    http::Http,
    notify, process,
    signal::Termination,
    tls,
    unix::Connector,
    write_timeout::{self, WriteTimeout},
};
use confidential_api::{
    NodeId,
    endpoints::node,
    names::{header, media, role},
    routing::{AttestRequest, ENCAPSULATED_KEY_MAX as KEY_MAX},
    settings::compute::Settings,
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Error, Root,
    frame::{self, Kind, Refusal},
    job::Media,
};

use boot::{evidence, lives, next, reach};
use register::Register;

/// Longest time for receiving the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Timeout of a health check of boot, less than the router's.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time for receiving a request.
const REQUEST: Duration = Duration::from_secs(60);
/// Memory for the bodies of all requests, in bytes.
const BODIES: usize = 64 << 20;
/// Longest request for evidence, in bytes.
const ATTEST_MAX: usize = 1024;
/// Overhead of sealing: a nonce, and 19 bytes for each chunk of 514.
const SEALING: usize = 128 << 10;

/// The state of the endpoints.
#[derive(Debug)]
struct App {
    boot: Connector,
    node: NodeId,
    /// The bodies of the router's requests.
    bodies: BodyReader<()>,
    /// Longest lifetime of a worker, and so the longest time between two frames.
    life: Duration,
}

/// Runs `router-com` until it is asked to stop.
///
/// # Errors
///
/// See [`Error`].
pub async fn run(root: &Root, settings: &Settings) -> Result<(), Error> {
    process::forbid_dumps().map_err(|errno| Error::Confine(errno.into()))?;
    process::raise_file_limit();
    let own = tls::CertificateFiles {
        certificate: root.path(&settings.tls.certificate),
        key: root.path(&settings.tls.key),
    };
    let server = tls::watch_server(own.clone(), Some(root.path(&settings.router.ca)))?;
    let failed = |source| Error::Listen(settings.listen, source);
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    let node = NodeId::new(uuid::Uuid::now_v7()).ok_or(Error::NodeId)?;
    let boot = root.connector(&settings.boot_socket);
    let max_request = settings.max_request_bytes.saturating_add(SEALING).min(frame::MAX);
    let register = Register::new(root, settings, own, node, boot.clone())?;
    let life = Duration::from_secs(settings.worker_s);
    let bodies = BodyReader::new(max_request, BODIES, BODIES);
    let router = router(Arc::new(App { boot, node, bodies, life }));
    // The router forwards the requests of all clients, so its connections are not limited by address.
    let (connections, each) = (settings.connections, settings.connections_per_address);
    let limit = ConnectionLimit::new("connections of routers", connections, each).with_carriers();
    notify::ready();
    tracing::info!(%node, at = %settings.listen, "ready");

    let stop = async {
        tokio::select! {
            () = termination.asked() => {}
            () = register.run() => {}
        }
        register.leave().await;
    };
    // Workers have ended by then, so that only unread responses are left.
    let http = Http::new(PATIENCE).answer(life.saturating_add(PATIENCE));
    let connect = |stream, peer: SocketAddr, stopping| {
        let newcomer = limit.enter(peer.ip())?;
        let acceptor = TlsAcceptor::from(server.current());
        Some(serve(stream, acceptor, http, router.clone(), newcomer, stopping))
    };
    Connections::new("connections of routers", limit.most())
        .drain(life)
        .serve(listener, stop, connect)
        .await;
    tracing::info!("stopped");
    Ok(())
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    http: Http,
    router: Router,
    newcomer: PendingConnection,
    stopping: ShutdownSignal,
) {
    let _ = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, write_timeout::LONGEST);
    let Some(stream) = newcomer.shake(acceptor.accept(stream)).await else { return };
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let is_router = shown.is_some_and(|shown| tls::is_for(shown, role::ROUTER));
    let Some(admitted) = newcomer.admit(is_router) else { return };
    let router = if is_router { router } else { nothing() };
    http.route(stream, router, (), stopping).await;
    drop(admitted);
}

fn router(app: Arc<App>) -> Router {
    endpoint::router(endpoints()).with_state(app)
}

/// The endpoints for other machines than the router: none.
fn nothing() -> Router {
    endpoint::router::<()>([]).fallback(strangers)
}

/// The response to other machines than the router.
async fn strangers() -> StatusCode {
    StatusCode::FORBIDDEN
}

/// The endpoints with their handlers.
fn endpoints() -> [endpoint::Served<Arc<App>>; 3] {
    [
        endpoint::serve(&node::ASK, ask),
        endpoint::serve(&node::ATTEST, attest),
        endpoint::serve(&node::HEALTH, health),
    ]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// A response without a body, so that no cause is revealed.
fn bare(status: StatusCode) -> Response {
    let mut response = status.into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(http_header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn refused(refusal: Refusal) -> Response {
    bare(match refusal {
        Refusal::Sealed => StatusCode::BAD_REQUEST,
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    })
}

/// Forwards a sealed request to a worker, and its response as it arrives. If the client disconnects, the worker is killed.
async fn ask(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let Some(work) = work(&headers) else { return bare(StatusCode::BAD_REQUEST) };
    let sealed = match app.bodies.read(body, (), REQUEST).await {
        Ok(sealed) => sealed,
        Err(unread) => return bare(unread.status()),
    };
    let Ok(mut boot) = reach(&app.boot).await else {
        return refused(Refusal::Failed);
    };
    // If boot refuses at once, it reads no more, but its response is read.
    let _ = frame::write(&mut boot, Kind::Work, &work).await;
    let _ = frame::write(&mut boot, Kind::Body, sealed.bytes()).await;
    drop(sealed);
    match next(&mut boot, app.life).await {
        Ok((Kind::Head, head)) => match head.first().copied().and_then(Media::from_byte) {
            Some(media) => reply(media, boot, app.life),
            None => refused(Refusal::Failed),
        },
        Ok((Kind::Refused, payload)) => refused(Refusal::read(&payload)),
        Ok(_) | Err(_) => refused(Refusal::Failed),
    }
}

/// The `Work` frame: the media type and the encapsulated key in the headers. OpenPCC's amount of credit is ignored.
fn work(headers: &HeaderMap) -> Option<Vec<u8>> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let media = Media::of_request(text("content-type")?)?;
    let key = text(header::ENCAPSULATED_KEY).filter(|key| key.len() <= KEY_MAX.div_ceil(3) * 4)?;
    let key = STANDARD.decode(key).ok().filter(|key| (1..=KEY_MAX).contains(&key.len()))?;
    Some([&[media as u8], key.as_slice()].concat())
}

/// The worker's response; without its end it is truncated.
fn reply(media: Media, boot: UnixStream, life: Duration) -> Response {
    let frames = stream::try_unfold((boot, life), async |(mut boot, life)| {
        match next(&mut boot, life).await? {
            (Kind::Body, sealed) => Ok(Some((Bytes::from(sealed), (boot, life)))),
            (Kind::End, _) => Ok(None),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    });
    let mut response = Response::new(Body::from_stream(frames));
    let kind = HeaderValue::from_static(media.of_response());
    response.headers_mut().insert(http_header::CONTENT_TYPE, kind);
    response
}

/// Makes evidence for the client's nonce.
async fn attest(State(app): State<Arc<App>>, body: Body) -> Response {
    let body = match app.bodies.at_most(ATTEST_MAX).read(body, (), REQUEST).await {
        Ok(body) => body,
        Err(unread) => return bare(unread.status()),
    };
    let Ok(AttestRequest { node, nonce }) = AttestRequest::decode(body.bytes()) else {
        return bare(StatusCode::BAD_REQUEST);
    };
    if node != app.node {
        return bare(StatusCode::NOT_FOUND);
    }
    match evidence(&app.boot, nonce).await {
        Ok(evidence) => {
            let kind = HeaderValue::from_static(media::BINARY);
            ([(http_header::CONTENT_TYPE, kind)], evidence).into_response()
        }
        Err(refusal) => refused(refusal),
    }
}

/// The health check in OpenPCC's format.
async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, state) = match timeout(LOOK, lives(&app.boot)).await {
        Ok(Ok(())) => (StatusCode::OK, "Healthy"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "Unhealthy"),
    };
    (status, Json(json!({ "ApplicationHealthState": state }))).into_response()
}
