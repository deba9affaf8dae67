//! A client that reads a reply slowly, or not at all: whichever server gives it up, the node's place is free again.

use std::time::Duration;

use bytes::Bytes;
use confidential_api::{
    names::{header, media, path},
    settings,
};
use confidential_envelope::ResponseOpener;
use http_body_util::Full;
use hyper::{Method, Request};
use testkit::{eventually, http::Response};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    chain::{Chain, candidates},
    client::{ResponseReader, active, request, seal},
    node::Node,
    world::TestDeployment,
};

/// Much longer than the limit of the server that gives up here, and shorter than those of the others, which wait a minute for
/// a reader.
const ALL: Duration = Duration::from_secs(40);

/// How long a server lets an answer take, in seconds.
#[derive(Clone, Copy)]
struct Limits {
    idle_s: u64,
    whole_answer_s: u64,
}

/// Without being reached here.
const LONG: Limits = Limits { idle_s: 600, whole_answer_s: 900 };

/// A chain, one of whose servers has these limits, and a node that takes one request at a time.
async fn chain(impatient: &str, limits: Limits) -> (Chain, Node) {
    let of = |role| if role == impatient { limits } else { LONG };
    let world = TestDeployment::new();
    let Limits { idle_s, whole_answer_s } = of("router");
    let nodes = settings::router::Nodes {
        check_every_s: 1,
        silent_s: 600,
        requests: 1,
        ..Default::default()
    };
    let settings =
        settings::router::Settings { idle_s, whole_answer_s, nodes, ..Default::default() };
    let router = world.router_with(settings).await;
    let Limits { idle_s, whole_answer_s } = of("gateway");
    let settings =
        settings::gateway::Settings { idle_s, whole_answer_s, ..world.gateway_settings(router) };
    let gateway = world.gateway(settings).await;
    let Limits { idle_s, whole_answer_s } = of("relay");
    let settings = settings::relay::Settings {
        idle_s,
        whole_answer_s,
        ..world.relay_settings(&format!("https://{gateway}"))
    };
    let relay = world.relay_with(settings).await;
    let key = active(&world.client().bundle(gateway, &world.identity).await);
    let chain = Chain { world, relay, router, key };
    let node = Node::start(&chain.world, 1).await;
    node.tell(&chain.world, chain.router, 0).await;
    chain.until(1).await;
    (chain, node)
}

/// A node's reply to a client that is at the other end of the chain.
struct Reply {
    answer: Response,
    opener: ResponseOpener,
    /// Ends when nobody takes any more of it.
    said: JoinHandle<()>,
}

/// Asks through the chain; the node's reply has a piece of so many bytes each `pause`, and no end.
async fn reply(chain: &Chain, node: &Node, piece: usize, pause: Duration) -> Reply {
    let (say, pieces) = mpsc::channel(1);
    *node.say.lock().unwrap() = Some(pieces);
    let routing = candidates(&[node]);
    let headers = [("content-type", media::REQUEST), (header::ROUTING_INFO, routing.as_str())];
    let asked = request(Method::POST, path::ROOT, &headers, b"");
    let (sealed, opener) = seal(&chain.key, &asked);
    let sent = Request::post("/").header("content-type", media::OHTTP_REQUEST);
    let sent = sent.body(Full::new(sealed.into())).unwrap();
    let said = tokio::spawn(async move {
        let piece = Bytes::from(vec![0; piece]);
        while say.send(piece.clone()).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    });
    let answer = chain.world.client().send(chain.relay, sent).await;
    Reply { answer, opener, said }
}

/// What the router answers to a request for the node.
async fn status(chain: &Chain, node: &Node) -> u16 {
    let sent = Request::post("/").header("content-type", media::REQUEST);
    let sent = sent.header(header::ROUTING_INFO, candidates(&[node]));
    let sent = sent.body(Full::new("sealed".into())).unwrap();
    chain.world.client_as("gateway").whole(chain.router, sent).await.status.as_u16()
}

/// Waits until the node takes a request again.
async fn until_free(chain: &Chain, node: &Node) {
    eventually("it takes a request", async || status(chain, node).await == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_given_up_and_the_nodes_place_is_free() {
    for impatient in ["relay", "gateway", "router"] {
        let limits = Limits { idle_s: 2, ..LONG };
        let (chain, node) = chain(impatient, limits).await;
        let reply = reply(&chain, &node, 64 << 10, Duration::ZERO).await;
        assert_eq!(status(&chain, &node).await, 503, "its place is taken");

        let ended = timeout(ALL, reply.said).await;

        assert!(ended.is_ok(), "{impatient}: it is waited for");
        timeout(ALL, until_free(&chain, &node)).await.expect(impatient);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_takes_too_long_is_cut_though_it_is_read() {
    for impatient in ["relay", "gateway", "router"] {
        let limits = Limits { whole_answer_s: 3, ..LONG };
        let (chain, node) = chain(impatient, limits).await;
        let reply = reply(&chain, &node, 1, Duration::from_millis(20)).await;
        let mut arriving = ResponseReader::new(reply.opener, reply.answer);

        let read = async { while let Ok(Some(_)) = arriving.next().await {} };
        timeout(ALL, read).await.expect(impatient);

        assert!(!arriving.finish(), "{impatient}: it has no end");
        timeout(ALL, reply.said).await.expect(impatient).unwrap();
        timeout(ALL, until_free(&chain, &node)).await.expect(impatient);
    }
}
