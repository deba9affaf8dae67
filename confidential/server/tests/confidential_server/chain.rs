//! The whole way: client, relay, gateway, router, node.

use std::net::SocketAddr;

use confidential_api::{
    names::{header, media, path},
    routing::{
        AttestRequest, ComputeCandidate, ComputeManifestList, ComputeManifestRequest,
        ComputeRequestInfo,
    },
};
use confidential_envelope::ohttp::KeyConfig;
use http_body_util::Full;
use hyper::{Method, Request};
use testkit::{equal, eventually};
use tokio::sync::mpsc;

use super::{
    client::{ResponseReader, active, request, seal},
    node::{Node, evidence},
    world::TestDeployment,
};

pub(crate) const CANARY: &str = "canary-51c0a7";

pub(crate) struct Chain {
    pub(crate) world: TestDeployment,
    pub(crate) relay: SocketAddr,
    pub(crate) router: SocketAddr,
    pub(crate) key: KeyConfig,
}

impl Chain {
    pub(crate) async fn start() -> Self {
        let world = TestDeployment::new();
        let router = world.router().await;
        Self::with(world, router).await
    }

    /// Around a router that listens.
    pub(crate) async fn with(world: TestDeployment, router: SocketAddr) -> Self {
        let gateway = world.gateway(world.gateway_settings(router)).await;
        let relay = world.relay(gateway).await;
        let key = active(&world.client().bundle(gateway, &world.identity).await);
        Self { world, relay, router, key }
    }

    /// The names of the nodes that the router shows.
    pub(crate) async fn nodes(&self) -> Vec<confidential_api::NodeId> {
        let asked = ComputeManifestRequest { tags: vec!["model=smollm2".to_owned()], limit: 9 };
        let asked = request(
            Method::POST,
            path::COMPUTE_MANIFESTS,
            &[("content-type", media::BINARY)],
            &asked.encode(),
        );
        let opened = self.world.client().ask(self.relay, &self.key, &asked).await;
        assert_eq!(opened.status, 200);
        let list = ComputeManifestList::decode(&opened.content).unwrap();
        assert!(list.0.iter().all(|manifest| manifest.evidence == evidence(b"cached")));
        list.0.iter().map(|manifest| manifest.id).collect()
    }

    /// Waits until the router shows so many nodes.
    pub(crate) async fn until(&self, nodes: usize) {
        eventually("nodes", async || equal(self.nodes().await.len(), nodes)).await;
    }
}

pub(crate) fn candidates(nodes: &[&Node]) -> String {
    let candidate = |node: &&Node| ComputeCandidate {
        id: node.id,
        encapsulated_key: format!("key for {}", node.id).into_bytes(),
    };
    ComputeRequestInfo { candidates: nodes.iter().map(candidate).collect() }.encode_text()
}

#[tokio::test]
async fn a_request_goes_through_the_whole_chain_and_its_answer_streams() {
    let chain = Chain::start().await;
    let node = Node::start(&chain.world, 1).await;
    assert_eq!(node.tell(&chain.world, chain.router, 0).await.status, 200);
    chain.until(1).await;
    let client = chain.world.client();

    let nonce = [7; 32];
    let asked = AttestRequest { node: node.id, nonce }.encode();
    let asked = request(Method::POST, path::ATTEST, &[("content-type", media::BINARY)], &asked);
    let shown = client.ask(chain.relay, &chain.key, &asked).await;
    assert_eq!(shown.content, evidence(&nonce).encode());
    assert_eq!(shown.headers["content-type"], media::BINARY);
    assert_eq!(
        client
            .ask(chain.relay, &chain.key, &request(Method::GET, path::PING, &[], b""))
            .await
            .content,
        b"pong"
    );

    let (say, pieces) = mpsc::channel(1);
    *node.say.lock().unwrap() = Some(pieces);
    let routing = candidates(&[&node]);
    let headers = [
        ("content-type", media::CHUNKED_REQUEST),
        (header::ROUTING_INFO, routing.as_str()),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-credit", "none"),
    ];
    let asked = request(Method::POST, path::ROOT, &headers, CANARY.as_bytes());
    let (sealed, opener) = seal(&chain.key, &asked);
    let sent = Request::post("/").header("content-type", media::OHTTP_REQUEST);
    let sent = sent.header("x-forwarded-for", "192.0.2.7").body(Full::new(sealed.into())).unwrap();
    let answer = client.send(chain.relay, sent).await;
    let mut arriving = ResponseReader::new(opener, answer);
    // Each piece arrives before the next one is said.
    for piece in ["one", "two", "three"] {
        say.send(piece.into()).await.unwrap();
        assert_eq!(arriving.next().await, Ok(Some(piece.into())));
    }
    drop(say);
    assert_eq!(arriving.next().await, Ok(None));
    let head = arriving.head.take().unwrap();
    assert_eq!(
        (head.status, &head.headers[header::NODE_ID]),
        (200.try_into().unwrap(), &node.id.to_string().parse().unwrap())
    );
    assert!(!head.headers.contains_key("x-more"), "only what is due comes back");
    assert!(arriving.finish(), "it came to its end");

    let seen = node.seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(&body[..], CANARY.as_bytes());
    assert_eq!(headers["content-type"], media::CHUNKED_REQUEST);
    assert!(headers[header::CREDIT_AMOUNT].to_str().unwrap().parse::<u64>().unwrap() > 0);
    let key = confidential_envelope_key(&headers[header::ENCAPSULATED_KEY]);
    assert_eq!(key, format!("key for {}", node.id).into_bytes());
    for absent in [header::ROUTING_INFO, "x-forwarded-for", "forwarded", "via", "x-credit"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
}

fn confidential_envelope_key(value: &hyper::header::HeaderValue) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(value).unwrap()
}

#[tokio::test]
async fn an_answer_that_is_cut_is_never_whole_and_leaving_is_cancelling() {
    let chain = Chain::start().await;
    let node = Node::start(&chain.world, 1).await;
    node.tell(&chain.world, chain.router, 0).await;
    chain.until(1).await;
    let client = chain.world.client();
    let routing = candidates(&[&node]);
    let headers = [("content-type", media::REQUEST), (header::ROUTING_INFO, routing.as_str())];
    let asked = request(Method::POST, path::ROOT, &headers, b"");
    let ask = async || {
        let (say, pieces) = mpsc::channel(1);
        *node.say.lock().unwrap() = Some(pieces);
        let (sealed, opener) = seal(&chain.key, &asked);
        let sent = Request::post("/").header("content-type", media::OHTTP_REQUEST);
        let answer = client.send(chain.relay, sent.body(Full::new(sealed.into())).unwrap()).await;
        let mut arriving = ResponseReader::new(opener, answer);
        say.send("one".into()).await.unwrap();
        assert_eq!(arriving.next().await, Ok(Some(b"one".to_vec())));
        (say, arriving)
    };

    // The client leaves: the node's answer is given up.
    let (say, arriving) = ask().await;
    drop(arriving);
    say.closed().await;

    // The node dies: what came is not whole.
    let (_say, mut arriving) = ask().await;
    node.die();
    let ended = arriving.next().await;
    assert!(ended.is_err() || !arriving.finish(), "{ended:?}");
}
