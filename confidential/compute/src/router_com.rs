//! `maru-compute router-com`: faces the router, answers it alone, and sees nothing but what is sealed.
//!
//! ```text
//! POST /        ──▶ boot: WORK, BODY ──▶ what the worker seals, as it comes
//! POST /attest  ──▶ boot: EVIDENCE
//! GET  /_health ──▶ boot: LOOK
//! ```
//!
//! It tells the router every few seconds that it lives, and when it is asked to stop that it takes no more; then it lets
//! requests under way end.

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
    process,
    signal::Termination,
    tls,
    unix::Connector,
    write_timeout::{self, WriteTimeout},
};
use confidential_api::{
    NodeId,
    endpoints::node,
    names::{header, media, role},
    routing::AttestRequest,
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
    job::{KEY_MAX, Media},
};

use boot::{evidence, lives, next, reach};
use register::Register;

/// How long a caller may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long boot may take to show that it lives, less than the router waits for that.
const LOOK: Duration = Duration::from_secs(1);
/// How long a whole request may take to come.
const REQUEST: Duration = Duration::from_secs(60);
/// What all bodies that are read at once may take, in bytes.
const BODIES: usize = 64 << 20;
/// Longest question for evidence, in bytes.
const ATTEST_MAX: usize = 1024;
/// What sealing adds to a request, at most: a nonce, and 19 bytes to each chunk of 514.
const SEALING: usize = 128 << 10;

/// What the endpoints need.
#[derive(Debug)]
struct App {
    boot: Connector,
    node: NodeId,
    /// Of the router: sealed requests, and questions for evidence.
    bodies: BodyReader<()>,
    /// Longest life of a worker, and so the longest time between two things that it says.
    life: Duration,
}

/// Runs it below `root` until it is asked to stop.
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
    let failed = |source| Error::Listen { at: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    let node = NodeId::new(uuid::Uuid::now_v7()).ok_or(Error::NodeId)?;
    let boot = root.connector(&settings.boot_socket);
    let max_request = settings.max_request_bytes.saturating_add(SEALING).min(frame::MAX);
    let register = Register::new(root, settings, own, node, boot.clone())?;
    let life = Duration::from_secs(settings.worker_s);
    let bodies = BodyReader::new(max_request, BODIES, BODIES);
    let router = router(Arc::new(App { boot, node, bodies, life }));
    // The router brings everybody's requests: its connections are not counted as of one address.
    let (connections, each) = (settings.connections, settings.connections_per_address);
    let limit = ConnectionLimit::new("connections of routers", connections, each).with_carriers();
    tracing::info!(%node, at = %settings.listen, "ready");

    let stop = async {
        tokio::select! {
            () = termination.asked() => {}
            () = register.run() => {}
        }
        register.leave().await;
    };
    // A worker ends by then: what is left is what a router does not read.
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

/// Serves nothing, for another machine of the deployment than the router.
fn nothing() -> Router {
    endpoint::router::<()>([]).fallback(strangers)
}

/// What such a machine is answered.
async fn strangers() -> StatusCode {
    StatusCode::FORBIDDEN
}

/// Everything that answers.
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

/// An answer without a body: what went wrong inside is nobody's to know.
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

/// Has a worker answer a sealed request; the answer comes as it is sealed. When the caller leaves, so does the worker.
async fn ask(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let Some(work) = work(&headers) else { return bare(StatusCode::BAD_REQUEST) };
    let sealed = match app.bodies.read(body, (), REQUEST).await {
        Ok(sealed) => sealed,
        Err(unread) => return bare(unread.status()),
    };
    let Ok(mut boot) = reach(&app.boot).await else {
        return refused(Refusal::Failed);
    };
    // Where boot refuses at once it reads no more; what it said is read all the same.
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

/// What is wanted of boot: the media type and the encapsulated key of the headers. OpenPCC's amount of credit is ignored.
fn work(headers: &HeaderMap) -> Option<Vec<u8>> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let media = Media::of_request(text("content-type")?)?;
    let key = text(header::ENCAPSULATED_KEY).filter(|key| key.len() <= KEY_MAX.div_ceil(3) * 4)?;
    let key = STANDARD.decode(key).ok().filter(|key| (1..=KEY_MAX).contains(&key.len()))?;
    Some([&[media as u8], key.as_slice()].concat())
}

/// The worker's answer; one without its end is cut.
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

/// Shows evidence for the caller's nonce.
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

/// Whether requests can be answered, in OpenPCC's words.
async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, state) = match timeout(LOOK, lives(&app.boot)).await {
        Ok(Ok(())) => (StatusCode::OK, "Healthy"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "Unhealthy"),
    };
    (status, Json(json!({ "ApplicationHealthState": state }))).into_response()
}
