//! The router: who may tell of nodes, which of them are shown and asked, and what becomes of those that are gone.

use std::{collections::HashMap, time::Duration};

use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    names::{EVIDENCE_MAX, header, media, path},
    node::{NodeEvent, NodeStatus},
    routing::{AttestRequest, ComputeManifestRequest},
};
use http_body_util::Full;
use hyper::Request;
use testkit::eventually;

use super::{
    chain::{Chain, candidates},
    client::Answer,
    node::{Node, id},
    world::TestDeployment,
};

async fn ask(chain: &Chain, routing: &str) -> Answer {
    let sent = Request::post("/")
        .header("content-type", media::REQUEST)
        .header(header::ROUTING_INFO, routing);
    let client = chain.world.client_as("gateway");
    client.whole(chain.router, sent.body(Full::new("sealed".into())).unwrap()).await
}

#[tokio::test]
async fn only_a_nodes_certificate_tells_of_nodes() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let node = Node::start(&world, 1).await;
    let event = || node.event(0).encode();
    let post = async |client: super::client::Client, body: Vec<u8>| {
        client.post(router, path::NODE_EVENTS, media::BINARY, body).await.status
    };

    assert_eq!(world.client().try_post(router, media::BINARY).await, None, "nobody's");
    assert_eq!(post(world.client_as("auth"), event()).await, 403, "another machine's");
    assert_eq!(post(world.client_as("gateway"), event()).await, 403, "the gateway's");
    assert_eq!(post(world.client_as("node"), event()).await, 200);
    assert_eq!(post(world.client_as("node"), event()).await, 200, "the same once more");

    assert_eq!(post(world.client_as("node"), b"nonsense".to_vec()).await, 400);
    let mut inside = node.event(1);
    let NodeStatus::Alive(info) = &mut inside.what else { unreachable!() };
    info.url = "http://127.0.0.1:22/".to_owned();
    assert_eq!(post(world.client_as("node"), inside.encode()).await, 400, "a URL without TLS");
    let mut elsewhere = node.event(1);
    info_of(&mut elsewhere).url = "https://127.0.0.2:3600/".to_owned();
    info_of(&mut elsewhere).healthcheck_url = "https://127.0.0.2:3600/_health".to_owned();
    let answer = post(world.client_as("node"), elsewhere.encode()).await;
    assert_eq!(answer, 400, "a host that its certificate is not for");
    let mut long = node.event(1);
    let NodeStatus::Alive(info) = &mut long.what else { unreachable!() };
    let piece =
        |len| EvidencePiece { kind: EvidenceType(1), data: vec![0; len], signature: vec![] };
    info.evidence = EvidenceList(vec![piece(EVIDENCE_MAX + 1)]);
    assert_eq!(
        post(world.client_as("node"), long.encode()).await,
        400,
        "evidence of more than 1 MiB"
    );
    info_of(&mut long).evidence = EvidenceList(vec![piece(2 * EVIDENCE_MAX)]);
    assert_eq!(post(world.client_as("node"), long.encode()).await, 413);
}

#[tokio::test]
async fn only_the_gateways_certificate_asks_and_no_other_node_speaks_for_a_node() {
    let chain = Chain::start().await;
    let node = Node::start(&chain.world, 1).await;
    node.tell(&chain.world, chain.router, 0).await;
    chain.until(1).await;
    let out = chain.world.file("").to_str().unwrap().to_owned();
    let words = ["machine", "other", "127.0.0.1", "--role", "node", "--out", &out];
    super::world::run(&chain.world.own(), &words).unwrap();
    let routing = candidates(&[&node]);

    for machine in ["auth", "router", "node"] {
        let client = chain.world.client_as(machine);
        for path in [path::COMPUTE_MANIFESTS, path::ATTEST] {
            assert_eq!(client.post(chain.router, path, media::BINARY, "").await.status, 403);
        }
        let sent = Request::post("/").header("content-type", media::REQUEST);
        let sent = sent.header(header::ROUTING_INFO, &routing).body(Full::default()).unwrap();
        assert_eq!(client.whole(chain.router, sent).await.status, 403, "{machine}");
        assert_eq!(client.get(chain.router, path::PING).await.body, "pong");
    }
    assert!(node.seen.lock().unwrap().is_empty());

    let other = chain.world.client_as("other");
    let gone = NodeEvent { node: node.id, index: 9, at_ms: 0, what: NodeStatus::Shutdown };
    for event in [gone, node.event(9)] {
        let sent = other.post(chain.router, path::NODE_EVENTS, media::BINARY, event.encode());
        assert_eq!(sent.await.status, 403);
    }
    assert_eq!(chain.nodes().await, [node.id]);
}

fn info_of(event: &mut NodeEvent) -> &mut confidential_api::node::RoutingInfo {
    let NodeStatus::Alive(info) = &mut event.what else { unreachable!() };
    info
}

#[tokio::test]
async fn live_candidates_are_asked_with_equal_chance_and_dead_ones_are_passed_over() {
    let chain = Chain::start().await;
    let nodes = [Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await];
    for node in &nodes {
        node.tell(&chain.world, chain.router, 0).await;
    }
    chain.until(2).await;
    let routing = candidates(&[&nodes[0], &nodes[1]]);

    let mut answered: HashMap<String, u32> = HashMap::new();
    for _ in 0..60 {
        let answer = ask(&chain, &routing).await;
        assert_eq!(answer.status, 200);
        let node = answer.headers[header::NODE_ID].to_str().unwrap().to_owned();
        assert_eq!(answer.body, format!("answer of {node}"));
        *answered.entry(node).or_default() += 1;
    }
    // Thirty each; ten are more than five standard deviations off.
    assert!(answered.len() == 2 && answered.values().all(|count| *count > 10), "{answered:?}");

    // One is gone; whoever is asked first, the other one answers, before anybody has noticed.
    nodes[0].die();
    for _ in 0..10 {
        let answer = ask(&chain, &routing).await;
        assert_eq!(answer.headers[header::NODE_ID], nodes[1].id.to_string());
    }
    assert_eq!(ask(&chain, &candidates(&[&nodes[0]])).await.status, 404);
    let key =
        |node: &Node| node.seen.lock().unwrap().last().unwrap().0[header::ENCAPSULATED_KEY].clone();
    assert_ne!(key(&nodes[1]), key(&nodes[0]), "each gets its own key");
}

#[tokio::test]
async fn a_dead_node_leaves_and_by_default_within_ten_seconds() {
    let nodes = confidential_api::settings::router::Nodes::default();
    assert!(nodes.silent_s + nodes.check_every_s <= 10, "{nodes:?}");
    let world = TestDeployment::new();
    // As it is by default.
    let router = world.router_with(Default::default()).await;
    let gateway = world.gateway(world.gateway_settings(router)).await;
    let relay = world.relay(gateway).await;
    let key = super::client::active(&world.client().bundle(gateway, &world.identity).await);
    let chain = Chain { world, relay, router, key };
    let (dead, alive) = (Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await);
    for node in [&dead, &alive] {
        node.tell(&chain.world, router, 0).await;
    }
    chain.until(2).await;

    dead.die();
    let mut index = 0;
    eventually("it leaves", async || {
        index += 1;
        alive.tell(&chain.world, router, index).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        !chain.nodes().await.contains(&dead.id)
    })
    .await;
    assert_eq!(chain.nodes().await, [alive.id]);

    // One that says so is gone at once.
    let event = NodeEvent {
        node: alive.id,
        index: u64::from(u32::MAX),
        at_ms: 0,
        what: NodeStatus::Shutdown,
    };
    chain
        .world
        .client_as("node")
        .post(router, path::NODE_EVENTS, media::BINARY, event.encode())
        .await;
    assert!(chain.nodes().await.is_empty());
}

#[tokio::test]
async fn what_is_malformed_or_too_much_is_refused() {
    let chain = Chain::start().await;
    let client = chain.world.client_as("gateway");
    let post = async |path: &str, body: Vec<u8>| {
        client.post(chain.router, path, media::BINARY, body).await.status.as_u16()
    };

    let manifests = |limit| ComputeManifestRequest { tags: vec![], limit }.encode();
    assert_eq!(post(path::COMPUTE_MANIFESTS, manifests(500)).await, 200);
    assert_eq!(post(path::COMPUTE_MANIFESTS, manifests(501)).await, 400);
    assert_eq!(post(path::COMPUTE_MANIFESTS, b"nonsense".to_vec()).await, 400);
    assert_eq!(post(path::ATTEST, b"nonsense".to_vec()).await, 400);
    let asked = AttestRequest { node: id(9), nonce: [0; 32] };
    let gone = client.post(chain.router, path::ATTEST, media::BINARY, asked.encode()).await;
    let says_gone =
        |body: &[u8]| String::from_utf8_lossy(body).contains("\"urn:maru:problem:node-gone\"");
    assert!(gone.status == 404 && gone.headers["content-type"] == media::PROBLEM, "{gone:?}");
    assert!(says_gone(&gone.body), "{gone:?}");
    let missing = client.post(chain.router, "/attestation", media::BINARY, asked.encode()).await;
    assert!(missing.status == 404 && !says_gone(&missing.body), "{missing:?}");
    assert_eq!(post(path::ATTEST, vec![0; (2 << 20) + 1]).await, 413);
    assert_eq!(client.post(chain.router, path::ATTEST, "text/plain", "").await.status, 415);
    assert_eq!(ask(&chain, "nonsense").await.status, 400);
    assert_eq!(ask(&chain, "").await.status, 400);
    assert_eq!(client.post(chain.router, "/", "text/plain", "").await.status, 415);
    assert_eq!(client.get(chain.router, path::PING).await.body, "pong");
    assert_eq!(client.get(chain.router, path::HEALTH).await.status, 200);
}
