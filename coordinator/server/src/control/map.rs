//! `POST /machine/map`: map streams, and updates that nodes report about themselves.

use std::{
    cell::RefCell,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use control_protocol::{
    frame,
    key::NodePublic,
    map::{MAX_REQUEST_LEN, MapRequest, MapResponse, ZSTD},
};
use coordinator_core::{
    model::{Node, NodeId},
    session::{MapSession, NotInNetwork},
};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use zstd::bulk::Compressor;

use super::refused::{Refused, check_version, not_now, read, unavailable};
use crate::{
    app::{App, Peer},
    clock,
    hub::{Snapshot, StreamGuard},
    random,
    updates::UpdateOutcome,
};

/// Responses queued for a slow client; further changes are merged into one.
const QUEUE: usize = 2;
/// How long a client may block its stream.
const SLOW: Duration = Duration::from_secs(60);

pub(super) async fn map(
    Extension(peer): Extension<Arc<Peer>>,
    body: Body,
) -> Result<Response, Refused> {
    let (request, _held): (MapRequest, _) = read(&peer, body, MAX_REQUEST_LEN).await?;
    check_version(request.version)?;
    let node = authorize(&peer, &request.node_key).await?;
    if request.stream {
        return Ok(start(&peer.app, &node, &request));
    }
    let (node_key, omit_peers) = (request.node_key, request.omit_peers);
    let is_compressed = request.compress == ZSTD;
    match peer.app.updates.submit(&node, request.into()).await {
        UpdateOutcome::Written | UpdateOutcome::Later => {}
        UpdateOutcome::Gone => return Err(gone()),
        UpdateOutcome::Failed => return Err(not_now()),
    }
    if omit_peers {
        return Ok(StatusCode::OK.into_response());
    }
    if peer.app.node_rates.take(node.id, Instant::now()).is_err() {
        return Err(Refused(
            StatusCode::TOO_MANY_REQUESTS,
            "too many full maps: use a stream, or retry in ten seconds".to_owned(),
        ));
    }
    let response = next(&mut MapSession::default(), &peer.app.hub.snapshot(), node.id, &node_key);
    let body = response.ok().flatten().and_then(|response| encode(&response, is_compressed));
    let body = body.ok_or_else(gone)?;
    Ok((map_headers(), body).into_response())
}

fn map_headers() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/octet-stream")]
}

/// Returns the node with `node_key`, if it belongs to the client's machine and its key has not expired.
///
/// A node that is not in memory may have been added by another coordinator on the same database. It is looked up there, by
/// few requests at a time, so that strangers cannot overload the database.
pub(super) async fn authorize(peer: &Peer, node_key: &NodePublic) -> Result<Arc<Node>, Refused> {
    let known = peer.app.hub.snapshot();
    let known = known.loaded.nodes.iter().find(|node| node.keys.node == *node_key);
    let node = match known {
        Some(node) => Some(Arc::clone(node)),
        None => {
            let _turn = peer.app.lookups.acquire().await.map_err(|error| unavailable(&error))?;
            let node = peer.app.store.node(node_key).await;
            node.map_err(|error| unavailable(&error))?.map(Arc::new)
        }
    };
    let is_own = |node: &Arc<Node>| node.wireguard.is_none() && node.keys.machine == peer.machine;
    let node = node.filter(is_own).ok_or_else(gone)?;
    if node.is_expired(clock::now()) {
        return Err(Refused(
            StatusCode::UNAUTHORIZED,
            "the node key has expired: register again".to_owned(),
        ));
    }
    Ok(node)
}

fn gone() -> Refused {
    Refused(StatusCode::NOT_FOUND, "this node key is not registered: register first".to_owned())
}

/// What a session sends next to a node, as long as the node has this key.
fn next(
    session: &mut MapSession,
    snapshot: &Snapshot,
    node: NodeId,
    key: &NodePublic,
) -> Result<Option<MapResponse>, NotInNetwork> {
    if !snapshot.compiled.has(node, key) {
        return Err(NotInNetwork);
    }
    session.next(&snapshot.compiled, node, clock::now())
}

fn start(app: &App, node: &Node, request: &MapRequest) -> Response {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let stream = MapStream {
        app: app.clone(),
        node: node.id,
        node_key: request.node_key,
        is_compressed: request.compress == ZSTD,
        sender,
        presence: app.hub.arrive(node.id),
    };
    app.tasks.spawn(stream.run().in_current_span());
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let body: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(body)), receiver))
    });
    (map_headers(), Body::new(StreamBody::new(frames))).into_response()
}

/// A node's map stream. It ends when the node starts another.
struct MapStream {
    app: App,
    node: NodeId,
    node_key: NodePublic,
    is_compressed: bool,
    sender: mpsc::Sender<Bytes>,
    presence: StreamGuard,
}

impl MapStream {
    /// Sends the map, then its changes, until the client disconnects or the node key is no longer valid.
    async fn run(self) {
        let mut session = MapSession::default();
        let mut kind = "map";
        loop {
            let snapshot = self.app.hub.snapshot();
            let Ok(response) = next(&mut session, &snapshot, self.node, &self.node_key) else {
                tracing::info!(
                    node = self.node,
                    "map stream ended: the node key is no longer valid"
                );
                if let Some(last) = session.end(clock::now()) {
                    self.send(&last).await;
                }
                return;
            };
            drop(snapshot);
            if let Some(response) = response {
                if !self.send(&response).await {
                    return;
                }
                self.app.metrics.map_response(kind);
                kind = "change";
            }
            if !self.wait().await {
                return;
            }
        }
    }

    /// Waits for a change and sends keep-alives meanwhile; false if the stream has ended.
    async fn wait(&self) -> bool {
        let least = self.app.config.map_keep_alive;
        loop {
            let silence = least + random::up_to(least / 5);
            tokio::select! {
                () = self.presence.is_concerned() => return true,
                () = self.sender.closed() => return false,
                () = self.app.stop.cancelled() => return false,
                () = self.presence.is_superseded() => return false,
                () = tokio::time::sleep(silence) => {
                    if !self.send(&MapResponse::keep_alive()).await {
                        return false;
                    }
                    self.app.metrics.map_response("keep_alive");
                }
            }
        }
    }

    async fn send(&self, response: &MapResponse) -> bool {
        let Some(body) = encode(response, self.is_compressed) else { return false };
        tokio::select! {
            sent = self.sender.send_timeout(body, SLOW) => sent.is_ok(),
            () = self.presence.is_superseded() => false,
        }
    }
}

fn encode(response: &MapResponse, is_compressed: bool) -> Option<Bytes> {
    thread_local! {
        /// Its tables take longer to make than a change takes to compress.
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    let compress = |json: &[u8]| {
        COMPRESSOR.with_borrow_mut(|compressor| match compressor {
            Some(compressor) => compressor.compress(json),
            None => compressor.insert(Compressor::new(1)?).compress(json),
        })
    };
    let result = serde_json::to_vec(response).map_err(std::io::Error::from).and_then(|json| {
        let body = if is_compressed { compress(&json)? } else { json };
        let mut out = Vec::with_capacity(body.len() + frame::HEADER_LEN);
        frame::encode(&body, &mut out).map_err(std::io::Error::other)?;
        Ok(out)
    });
    match result {
        Ok(out) => Some(out.into()),
        Err(error) => {
            tracing::error!(%error, "cannot encode a map response");
            None
        }
    }
}
