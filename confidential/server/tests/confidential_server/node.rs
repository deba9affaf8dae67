//! A node that does as a script says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bytes::Bytes;
use chassis::{accept::Connections, body::whole, http::Http, tls};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    names::{media, path, role},
    node::{NodeEvent, NodeStatus, RoutingInfo},
    routing::AttestRequest,
};
use futures_util::{StreamExt as _, stream};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    client::{Answer, BODY_MAX, PATIENCE, now},
    world::TestDeployment,
};

/// How a node takes a sealed request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NodeBehavior {
    /// It answers.
    #[default]
    Well,
    /// It says nothing, and lives; its evidence has no end.
    Silent,
    /// It says nothing, to a look at its health neither.
    Hung,
    /// It ends the connection.
    Cut,
    /// It has no place for it.
    Full,
}

/// A node and what it received.
pub(crate) struct Node {
    pub(crate) takes: Arc<Mutex<NodeBehavior>>,
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    /// How much its evidence holds beside the nonce, in bytes.
    pub(crate) shows: Arc<Mutex<usize>>,
    pub(crate) seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// Pieces that the next answer is made of; dropping it ends the answer.
    pub(crate) say: Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>,
    stop: CancellationToken,
    _stops: DropGuard,
}

pub(crate) fn id(number: u8) -> NodeId {
    let uuid = uuid::Builder::from_bytes([number; 16]).with_version(uuid::Version::SortRand);
    NodeId::new(uuid.into_uuid()).unwrap()
}

pub(crate) fn evidence(nonce: &[u8]) -> EvidenceList {
    let kind = EvidenceType(1234);
    EvidenceList(vec![EvidencePiece { kind, data: nonce.to_vec(), signature: vec![] }])
}

impl Node {
    /// A node that answers to everything that the router asks.
    pub(crate) async fn start(world: &TestDeployment, number: u8) -> Self {
        Self::answer(world, number, Some(role::ROUTER)).await
    }

    /// What stands behind a relay: whoever calls shows nothing.
    pub(crate) async fn start_as_gateway(world: &TestDeployment) -> Self {
        Self::answer(world, 1, None).await
    }

    async fn answer(world: &TestDeployment, number: u8, to: Option<&'static str>) -> Self {
        let own = tls::CertificateFiles {
            certificate: world.file("node.crt"),
            key: world.file("node.key"),
        };
        let ca = world.file("ca.crt");
        let acceptor = TlsAcceptor::from(tls::server(&own, to.map(|_| ca.as_path())).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let node = Self {
            id: id(number),
            address,
            takes: Arc::default(),
            shows: Arc::default(),
            seen: Arc::default(),
            say: Arc::default(),
            _stops: stop.clone().drop_guard(),
            stop: stop.clone(),
        };
        let router = node.router();
        tokio::spawn(async move {
            let http = Http::new(Duration::from_secs(30));
            let connections = Connections::new("a node's connections", 64);
            let serving = connections.serve(listener, stop.cancelled(), |stream, _, stopping| {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                Some(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    if to.is_none_or(|role| tls::is_for(shown.unwrap(), role)) {
                        http.route(stream, router, (), stopping).await;
                    }
                })
            });
            serving.await;
        });
        node
    }

    fn router(&self) -> Router {
        let (seen, say) = (Arc::clone(&self.seen), Arc::clone(&self.say));
        let (id, takes) = (self.id, Arc::clone(&self.takes));
        let answer = async move |request: Request| -> Response {
            let (head, body) = request.into_parts();
            let body = whole(body, BODY_MAX, PATIENCE).await.unwrap();
            seen.lock().unwrap().push((head.headers, body));
            let how = *takes.lock().unwrap();
            match how {
                NodeBehavior::Well => {}
                NodeBehavior::Silent | NodeBehavior::Hung => std::future::pending().await,
                // What unwinds takes the connection with it.
                NodeBehavior::Cut => std::panic::resume_unwind(Box::new(())),
                NodeBehavior::Full => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
            let media = [("content-type", media::CHUNKED_RESPONSE), ("x-more", "1")];
            let Some(pieces) = say.lock().unwrap().take() else {
                return (media, format!("answer of {id}")).into_response();
            };
            let pieces = stream::unfold(pieces, async |mut pieces| {
                Some((Ok::<_, std::io::Error>(pieces.recv().await?), pieces))
            });
            (media, Body::from_stream(pieces)).into_response()
        };
        let (shows, takes) = (Arc::clone(&self.shows), Arc::clone(&self.takes));
        let attest = async move |body: Bytes| match AttestRequest::decode(&body) {
            Ok(asked) => {
                let media = [("content-type", media::BINARY)];
                let mut shown = evidence(&asked.nonce);
                shown.0[0].signature = vec![0; *shows.lock().unwrap()];
                let shown = stream::once(async move { Ok::<_, std::io::Error>(shown.encode()) });
                let body = match *takes.lock().unwrap() == NodeBehavior::Silent {
                    true => Body::from_stream(shown.chain(stream::pending())),
                    false => Body::from_stream(shown),
                };
                (media, body).into_response()
            }
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        };
        let takes = Arc::clone(&self.takes);
        let health = async move || {
            let how = *takes.lock().unwrap();
            if how == NodeBehavior::Hung {
                std::future::pending::<()>().await;
            }
            "ok"
        };
        Router::new()
            .route(path::ROOT, post(answer))
            .route(path::ATTEST, post(attest))
            .route(path::HEALTH, get(health))
    }

    /// What it tells the router.
    pub(crate) fn event(&self, index: u64) -> NodeEvent {
        let info = RoutingInfo {
            url: format!("https://{}/", self.address),
            healthcheck_url: format!("https://{}/_health", self.address),
            tags: vec!["model=smollm2".to_owned()],
            evidence: evidence(b"cached"),
        };
        NodeEvent {
            node: self.id,
            index,
            at_ms: now().try_into().unwrap(),
            what: NodeStatus::Alive(Box::new(info)),
        }
    }

    /// Tells the router that it lives.
    pub(crate) async fn tell(
        &self,
        world: &TestDeployment,
        router: SocketAddr,
        index: u64,
    ) -> Answer {
        let event = self.event(index).encode();
        world.client_as("node").post(router, path::NODE_EVENTS, media::BINARY, event).await
    }

    /// Is gone from one moment to the next.
    pub(crate) fn die(&self) {
        self.stop.cancel();
    }
}
