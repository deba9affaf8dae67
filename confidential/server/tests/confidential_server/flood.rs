//! Whoever sends much, or announces it, or only connects: others are answered all the same.

use std::time::Duration;

use confidential_api::{
    names::{REQUEST_MAX, header, media, path},
    routing::AttestRequest,
    settings,
};
use http_body_util::Full;
use hyper::{Method, Request};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::{
    chain::{Chain, candidates},
    client::{active, connect_from, request},
    node::{Node, NodeBehavior},
    world::TestDeployment,
};

#[tokio::test]
async fn announced_bodies_that_do_not_come_take_no_room_from_others() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let plain = Some(([127, 0, 0, 1], 0).into());
    let settings =
        settings::gateway::Settings { listen_plain: plain, ..world.gateway_settings(router) };
    let (secure, plain) = world.gateway_both(settings).await;
    let client = world.client();
    let key = active(&client.bundle(secure, &world.identity).await);
    let ping = request(Method::GET, path::PING, &[], b"");

    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(plain).await.unwrap();
        let (media, len) = (media::OHTTP_REQUEST, REQUEST_MAX);
        let head = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {media}\r\ncontent-length: {len}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    // Each of them was read: an answer to something else comes behind it.
    assert_eq!(client.ask(secure, &key, &ping).await.content, b"pong");

    let whole = vec![0; REQUEST_MAX];
    let answer = client.post(secure, "/", media::OHTTP_REQUEST, whole).await;
    assert_eq!(answer.status, 400, "read as a whole, and no request");
    let long = vec![0; REQUEST_MAX + 1];
    assert_eq!(client.post(secure, "/", media::OHTTP_REQUEST, long).await.status, 413);
}

#[tokio::test]
async fn one_address_holds_a_part_of_the_gateways_and_the_routers_connections() {
    let world = TestDeployment::new();
    let settings = settings::router::Settings {
        connections_per_address: 2,
        ..settings::router::Settings::default()
    };
    let router = world.router_with(settings).await;
    let settings = settings::gateway::Settings {
        connections_per_address: 2,
        ..world.gateway_settings(router)
    };
    let gateway = world.gateway(settings).await;
    let node = world.client_as("node");
    for server in [gateway, router] {
        let hold = async |last| node.hold_from(last, server).await;
        let held = [hold(2).await, hold(2).await];
        assert!(held.iter().all(Option::is_some));
        assert!(hold(2).await.is_none(), "a third one is turned away");
        assert!(hold(3).await.is_some(), "from another one");
    }

    // Those of the gateway itself are not counted, since it brings everybody's.
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(world.client_as("gateway").hold(router).await.unwrap());
    }
    let nodes = async || world.client_as("node").hold(router).await;
    let few = [nodes().await, nodes().await];
    assert!(few.iter().all(Option::is_some) && nodes().await.is_none(), "a node's are");
}

/// As many as there is room for, each of which has shaken hands and asks for nothing.
#[tokio::test]
async fn strangers_who_ask_for_nothing_keep_nobody_out() {
    let world = TestDeployment::new();
    let settings = settings::gateway::Settings {
        connections: 8,
        connections_per_address: 8,
        ..world.gateway_settings(([127, 0, 0, 1], 9).into())
    };
    let gateway = world.gateway(settings).await;
    let client = world.client();
    let mut silent = Vec::new();
    for number in 0..40 {
        silent.push(client.hold_from(2 + number % 5, gateway).await);
    }

    client.bundle(gateway, &world.identity).await;
}

#[tokio::test]
async fn strangers_who_only_connect_keep_nobody_out_and_nodes_leave_half_to_the_gateway() {
    let world = TestDeployment::new();
    let settings = settings::router::Settings { connections: 4, ..Default::default() };
    let router = world.router_with(settings).await;
    let mut silent = Vec::new();
    for number in 0..60 {
        silent.push(connect_from(2 + number % 6, router).await);
    }
    let node = async || world.client_as("node").hold(router).await;
    let gateway = async || world.client_as("gateway").hold(router).await;

    let nodes = [node().await, node().await];
    assert!(nodes.iter().all(Option::is_some) && node().await.is_none());
    let gateways = [gateway().await, gateway().await];
    assert!(gateways.iter().all(Option::is_some) && gateway().await.is_none());
}

#[tokio::test]
async fn a_node_is_asked_so_much_at_a_time_and_the_rest_goes_to_others() {
    let world = TestDeployment::new();
    let nodes = settings::router::Nodes { check_every_s: 1, requests: 1, ..Default::default() };
    let router =
        world.router_with(settings::router::Settings { nodes, ..Default::default() }).await;
    let chain = Chain::with(world, router).await;
    let nodes = [Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await];
    for node in &nodes {
        node.tell(&chain.world, chain.router, 0).await;
    }
    chain.until(2).await;
    let client = chain.world.client_as("gateway");
    let routing = candidates(&[&nodes[0], &nodes[1]]);
    let sent = || {
        let sent = Request::post("/").header("content-type", media::REQUEST);
        sent.header(header::ROUTING_INFO, &routing).body(Full::new("sealed".into())).unwrap()
    };
    // Replies that do not end.
    let (says, pieces): (Vec<_>, Vec<_>) = (0..2).map(|_| tokio::sync::mpsc::channel(1)).unzip();
    for (node, pieces) in nodes.iter().zip(pieces) {
        *node.say.lock().unwrap() = Some(pieces);
    }
    let first = client.send(chain.router, sent()).await;
    let second = client.send(chain.router, sent()).await;
    assert_ne!(first.headers[header::NODE_ID], second.headers[header::NODE_ID]);
    assert_eq!(client.send(chain.router, sent()).await.status, 503, "both are asked already");

    drop((first, says));
    let is_free = async || client.send(chain.router, sent()).await.status == 200;
    testkit::eventually("its end is noticed", is_free).await;
}

#[tokio::test]
async fn a_node_that_says_nothing_holds_a_part_of_the_room_for_requests() {
    const ASKED: usize = 8;

    let world = TestDeployment::new();
    // Looks fail late, so that a machine with much to do changes nothing.
    let nodes = settings::router::Nodes { check_every_s: 4, silent_s: 600, ..Default::default() };
    let router =
        world.router_with(settings::router::Settings { nodes, ..Default::default() }).await;
    let chain = Chain::with(world, router).await;
    let nodes = [Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await];
    for node in &nodes {
        node.tell(&chain.world, chain.router, 0).await;
    }
    chain.until(2).await;
    *nodes[0].takes.lock().unwrap() = NodeBehavior::Silent;
    let client = chain.world.client_as("gateway");
    let body = bytes::Bytes::from(vec![0; REQUEST_MAX]);
    let sent = |node: &Node| {
        let sent = Request::post("/").header("content-type", media::REQUEST);
        let sent = sent.header(header::ROUTING_INFO, candidates(&[node]));
        sent.body(Full::new(body.clone())).unwrap()
    };

    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..ASKED {
        let (client, sent) = (client.clone(), sent(&nodes[0]));
        asked.spawn(async move { client.try_send(router, sent).await.unwrap().status });
    }
    // Until each of them is with the node or was refused.
    let seen = || nodes[0].seen.lock().unwrap().len();
    let mut refused = 0;
    while seen() + refused < ASKED {
        if let Ok(answer) = timeout(Duration::from_millis(50), asked.join_next()).await {
            assert_eq!(answer.unwrap().unwrap(), 503);
            refused += 1;
        }
    }

    // An eighth of 64 MiB has no room for four and what is counted beside them.
    assert_eq!(seen(), 3);
    assert_eq!(client.send(router, sent(&nodes[1])).await.status, 200, "another one");
    assert_eq!(chain.nodes().await.len(), 2, "and what is asked of the router itself");
}

#[tokio::test]
async fn evidence_of_more_than_a_mebibyte_is_passed_on_to_nobody() {
    let chain = Chain::start().await;
    let node = Node::start(&chain.world, 1).await;
    node.tell(&chain.world, chain.router, 0).await;
    chain.until(1).await;
    let asked = AttestRequest { node: node.id, nonce: [7; 32] }.encode();
    let asked = request(Method::POST, path::ATTEST, &[("content-type", media::BINARY)], &asked);
    let client = chain.world.client();
    assert_eq!(client.ask(chain.relay, &chain.key, &asked).await.status, 200);

    *node.shows.lock().unwrap() = (1 << 20) + (8 << 10);

    assert_eq!(client.ask(chain.relay, &chain.key, &asked).await.status, 502);
}

#[tokio::test]
async fn evidence_that_many_wait_for_is_bounded_in_sum() {
    const ASKED: usize = 4;

    let chain = Chain::start().await;
    let nodes = [Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await];
    for node in &nodes {
        node.tell(&chain.world, chain.router, 0).await;
    }
    chain.until(2).await;
    let (client, router) = (chain.world.client_as("gateway"), chain.router);
    let asked = |node: &Node| {
        let asked = AttestRequest { node: node.id, nonce: [7; 32] }.encode();
        let sent = Request::post(path::ATTEST).header("content-type", media::BINARY);
        sent.body(Full::new(asked.into())).unwrap()
    };
    // As much as may be, and no end.
    *nodes[0].shows.lock().unwrap() = (1 << 20) - 100;
    *nodes[0].takes.lock().unwrap() = NodeBehavior::Silent;

    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..ASKED {
        let (client, asked) = (client.clone(), asked(&nodes[0]));
        waiting.spawn(async move { client.try_send(router, asked).await.unwrap().status });
    }
    // Of one node there is room for one of these.
    for _ in 1..ASKED {
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), 503);
    }

    assert_eq!(client.send(router, asked(&nodes[1])).await.status, 200, "another node's");
    drop(waiting);
    *nodes[0].takes.lock().unwrap() = NodeBehavior::Well;
    let is_free = async || client.whole(router, asked(&nodes[0])).await.status == 200;
    testkit::eventually("it is noticed that nobody waits", is_free).await;
}
