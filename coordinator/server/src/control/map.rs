//! `POST /machine/map`: the stream of a node's map, and what a node says of itself.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use control_protocol::{
    frame,
    key::NodePublic,
    map::{MAX_REQUEST_LEN, MapRequest, MapResponse, ZSTD},
};
use coordinator_core::{
    map::{Session, View},
    model::{Claims, Node, NodeId},
};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::{Peer, Refused, check_version, read, unavailable};
use crate::{
    clock,
    hub::{Presence, Snapshot},
    random,
    serve::App,
    store::StoreError,
};

/// Responses that may wait for a slow client; more changes then become one.
const QUEUE: usize = 2;
/// How long a client may take to read before its stream ends.
const SLOW: Duration = Duration::from_secs(60);
/// Endpoints of a node that are kept.
const ENDPOINTS_MAX: usize = 32;

pub(super) async fn map(State(peer): State<Peer>, body: Body) -> Result<Response, Refused> {
    let request: MapRequest = read(body, MAX_REQUEST_LEN).await?;
    check_version(request.version)?;
    let node = authorize(&peer, &request.node_key).await?;
    if request.stream {
        return Ok(start(&peer.app, &node, &request));
    }
    update(&peer.app, node, &request).await?;
    if request.omit_peers {
        return Ok(StatusCode::OK.into_response());
    }
    let response = view(&peer.app.hub.snapshot(), &request.node_key)
        .map(|view| Session::new().next(view, clock::now()));
    let body = response.flatten().and_then(|response| encode(&response, request.compress == ZSTD));
    let body = body.ok_or_else(gone)?;
    Ok((map_headers(), body).into_response())
}

fn map_headers() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/octet-stream")]
}

/// The node under `node_key`, if the machine at the other end is its own and its key is good.
async fn authorize(peer: &Peer, node_key: &NodePublic) -> Result<Node, Refused> {
    let node = peer.app.store.node(node_key).await.map_err(|error| unavailable(&error))?;
    let node = node.filter(|node| node.keys.machine == peer.machine).ok_or_else(gone)?;
    if node.is_expired(clock::now()) {
        return Err(Refused(
            StatusCode::UNAUTHORIZED,
            "the node key has expired: register again".to_owned(),
        ));
    }
    Ok(node)
}

fn gone() -> Refused {
    Refused(StatusCode::NOT_FOUND, "not a node of this network: register first".to_owned())
}

/// Writes what a node says of itself, if it says anything new.
async fn update(app: &App, node: Node, request: &MapRequest) -> Result<(), Refused> {
    let is_same =
        |node: &Node| claims(node, request) == node.claims && request.disco_key == node.keys.disco;
    if is_same(&node) {
        return Ok(());
    }
    let write = async {
        let mut change = app.store.change().await?;
        let Some(mut node) = change.node_by_key(&request.node_key).await? else { return Ok(false) };
        node.claims = claims(&node, request);
        node.keys.disco = request.disco_key;
        change.update_node(&node).await?;
        change.commit().await?;
        Ok(true)
    };
    if !write.await.map_err(|error: StoreError| unavailable(&error))? {
        return Err(gone());
    }
    app.hub.refresh().await.map_err(|error| unavailable(&error))
}

fn claims(node: &Node, request: &MapRequest) -> Claims {
    let mut endpoints = request.endpoints.clone();
    endpoints.truncate(ENDPOINTS_MAX);
    let hostinfo = request.hostinfo.clone().unwrap_or_else(|| node.claims.hostinfo.clone());
    let home_derp = hostinfo.preferred_derp().unwrap_or(node.claims.home_derp);
    Claims { endpoints, home_derp, version: request.version, hostinfo }
}

/// The view of the node that has this key at this moment.
fn view(snapshot: &Snapshot, node_key: &NodePublic) -> Option<View> {
    let node = snapshot.loaded.nodes.iter().find(|node| node.keys.node == *node_key)?;
    snapshot.compiled.view(node.id)
}

fn start(app: &App, node: &Node, request: &MapRequest) -> Response {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let stream = MapStream {
        app: app.clone(),
        node: node.id,
        node_key: request.node_key,
        is_compressed: request.compress == ZSTD,
        sender,
        _presence: app.hub.arrive(node.id),
    };
    app.tasks.spawn(stream.run());
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let body: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(body)), receiver))
    });
    (map_headers(), Body::new(StreamBody::new(frames))).into_response()
}

/// One node's stream.
struct MapStream {
    app: App,
    node: NodeId,
    node_key: NodePublic,
    is_compressed: bool,
    sender: mpsc::Sender<Bytes>,
    _presence: Presence,
}

impl MapStream {
    /// Sends the map, then what changes in it, until the client leaves or the node is no longer one.
    async fn run(self) {
        let mut network = self.app.hub.watch();
        let mut session = Session::new();
        loop {
            let snapshot = network.borrow_and_update().clone();
            let Some(view) = view(&snapshot, &self.node_key) else {
                tracing::info!(
                    node = self.node,
                    "map stream ended: no longer a node under this key"
                );
                if let Some(last) = session.end(clock::now()) {
                    self.send(&last).await;
                }
                return;
            };
            if let Some(response) = session.next(view, clock::now())
                && !self.send(&response).await
            {
                return;
            }
            if !self.wait(&mut network).await {
                return;
            }
        }
    }

    /// Waits for a change, keeping the stream alive meanwhile; false if it has ended.
    async fn wait(
        &self,
        network: &mut tokio::sync::watch::Receiver<std::sync::Arc<Snapshot>>,
    ) -> bool {
        let least = self.app.config.map_keep_alive;
        loop {
            let silence = least + random::up_to(least / 5);
            tokio::select! {
                changed = network.changed() => return changed.is_ok(),
                () = self.sender.closed() => return false,
                () = self.app.stop.cancelled() => return false,
                () = tokio::time::sleep(silence) => {
                    if !self.send(&MapResponse::keep_alive()).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn send(&self, response: &MapResponse) -> bool {
        match encode(response, self.is_compressed) {
            Some(body) => self.sender.send_timeout(body, SLOW).await.is_ok(),
            None => false,
        }
    }
}

fn encode(response: &MapResponse, is_compressed: bool) -> Option<Bytes> {
    let result = serde_json::to_vec(response).map_err(std::io::Error::from).and_then(|json| {
        let body = if is_compressed { zstd::bulk::compress(&json, 1)? } else { json };
        let mut out = Vec::with_capacity(body.len() + frame::HEADER_LEN);
        frame::encode(&body, &mut out).map_err(std::io::Error::other)?;
        Ok(out)
    });
    match result {
        Ok(out) => Some(out.into()),
        Err(error) => {
            tracing::error!(%error, "cannot write a map response");
            None
        }
    }
}
