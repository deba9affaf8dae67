//! `POST /ts2021`: from HTTP/1.1 to HTTP/2 inside Noise.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::log::request::in_span;
use control_protocol::key::MachinePrivate;
use control_stream::{HANDSHAKE_HEADER, UPGRADE, server::Handshake};
use hyper::{
    body::Incoming,
    service::{Service as _, service_fn},
    upgrade::OnUpgrade,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio_util::sync::CancellationToken;

use super::{lifetime, machine, quota_stream::QuotaStream, refused::RETRY_AFTER_S};
use crate::{
    app::{App, Peer},
    limits::{Caller, Origin, QueueEntry},
};

/// Timeout for each step of the handshake, and for the first data after it.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Concurrent requests in one channel.
const STREAMS_MAX: u32 = 32;
/// HTTP/2 flow-control window of a request, in bytes.
const WINDOW: u32 = 16 * 1024;
/// The same for a channel, HTTP/2's initial value (RFC 9113, section 6.9.2).
///
/// h2 limits small unread frames as well, since a frame costs more memory than its bytes: each frame below 256 bytes takes
/// the difference from a budget of half this window. The 129th frame of one byte ends the channel with
/// `ENHANCE_YOUR_CALM`.
const CHANNEL_WINDOW: u32 = 65_535;

pub(super) async fn upgrade(State(app): State<App>, mut request: Request) -> Response {
    let handshake = {
        let Ok(_turn) = app.handshakes.acquire().await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        handshake(request.headers(), &app.noise)
    };
    let Some(handshake) = handshake else {
        let text =
            format!("send Upgrade: {UPGRADE} and a handshake message for this coordinator's key\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    if app.channels.is_full(&handshake.machine()) {
        return too_many();
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return (StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded\n")
            .into_response();
    };
    let Some(Caller { origin, place, .. }) = request.extensions_mut().remove::<Caller>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let machine = handshake.machine();
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        let (stop, begun) = (app.stop.clone(), CancellationToken::new());
        tokio::select! {
            () = stop.cancelled() => {}
            () = gives_way(place, begun.clone()) => tracing::debug!("closing a connection during its handshake in favor of newer ones"),
            () = lifetime::ended(app.clone(), machine, origin) => {}
            () = serve(app, upgrade, handshake, origin, begun) => {}
        }
    });
    let headers = [(header::UPGRADE, UPGRADE), (header::CONNECTION, "upgrade")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn too_many() -> Response {
    tracing::info!("refused a channel: the device has too many");
    let text = "this device has too many connections: close one first\n";
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, RETRY_AFTER_S)], text).into_response()
}

fn handshake(headers: &HeaderMap, noise: &MachinePrivate) -> Option<Handshake> {
    let upgrade = headers.get(header::UPGRADE)?.to_str().ok()?;
    let init = headers.get(HANDSHAKE_HEADER)?.as_bytes();
    if !upgrade.eq_ignore_ascii_case(UPGRADE) {
        return None;
    }
    Handshake::from_header(init, noise)
        .inspect_err(|error| tracing::debug!(%error, "handshake refused"))
        .ok()
}

async fn serve(
    app: App,
    upgrade: OnUpgrade,
    handshake: Handshake,
    origin: Origin,
    begun: CancellationToken,
) {
    let machine = handshake.machine();
    let Ok(Ok(upgraded)) = tokio::time::timeout(HANDSHAKE_TIME, upgrade).await else { return };
    let Ok(stream) = handshake.accept(TokioIo::new(upgraded), HANDSHAKE_TIME).await else { return };
    let stream = QuotaStream::new(stream, machine, app.channels.clone(), begun.clone());
    let (router, peer) =
        (TowerToHyperService::new(machine::router()), Arc::new(Peer { app, machine, origin }));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&peer));
        in_span(router.call(request))
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(30))
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CHANNEL_WINDOW)
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(256 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = silence(begun) => {}
        result = connection => if let Err(error) = result {
            tracing::debug!(%error, "channel ended");
        }
    }
}

/// Returns if the connection is evicted before the device has sent data. From then on it keeps its place.
async fn gives_way(place: Arc<QueueEntry>, begun: CancellationToken) {
    let pushed_out = tokio::select! {
        () = place.evicted() => true,
        () = begun.cancelled() => false,
    };
    if !pushed_out {
        drop(place);
        std::future::pending().await
    }
}

/// Returns if the device sends no data in time.
async fn silence(begun: CancellationToken) {
    if tokio::time::timeout(HANDSHAKE_TIME, begun.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}
