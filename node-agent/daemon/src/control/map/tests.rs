use std::convert::Infallible;

use control_protocol::{
    key::NodePublic,
    map::{MapResponse, Node},
};
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use node_agent_core::netmap::Netmap;

use super::*;
use crate::{
    config::{Config, Paths},
    state,
};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn agent(root: &std::path::Path) -> Agent {
    let state = state::State::generate().unwrap();
    Agent::new(Config::default(), Paths::new(root), state, Netmap::default())
}

fn message(response: &MapResponse) -> Bytes {
    let json = serde_json::to_vec(response).unwrap();
    let mut out = Vec::new();
    frame::encode(&zstd::bulk::compress(&json, 1).unwrap(), &mut out).unwrap();
    out.into()
}

/// What becomes of a stream that carries these messages and then nothing; it never ends by itself.
async fn lost_after(agent: &Agent, messages: &[MapResponse]) -> String {
    let pieces: Vec<_> =
        messages.iter().map(|each| Ok::<_, Infallible>(Frame::data(message(each)))).collect();
    let body = StreamBody::new(stream::iter(pieces).chain(stream::pending()));
    let started = Notify::new();
    let read = read(agent, body, &started, Duration::from_millis(20));
    match timeout(PATIENCE, read).await.expect("a silent coordinator is left") {
        SessionEnd::Transient(reason) => reason.to_string(),
        SessionEnd::NotRegistered => "not registered".to_owned(),
        SessionEnd::Final(ended) => format!("{ended:?}"),
    }
}

#[tokio::test]
async fn a_coordinator_that_falls_silent_is_left() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let node = Node {
        id: 1,
        stable_id: "n1".to_owned(),
        key: NodePublic::from_bytes([1; 32]),
        addresses: vec!["100.64.0.1/32".parse().unwrap()],
        machine_authorized: true,
        ..Node::default()
    };
    let first = MapResponse { node: Some(node), ..MapResponse::default() };

    for messages in
        [vec![], vec![MapResponse::keep_alive()], vec![first, MapResponse::keep_alive()]]
    {
        assert_eq!(lost_after(&agent, &messages).await, "the coordinator sends no keep-alives");
    }
    assert!(agent.progress.borrow().connected, "what came before is in force");
}

#[tokio::test]
async fn a_keep_alive_is_no_map() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());

    lost_after(&agent, &[MapResponse::keep_alive()]).await;

    assert!(agent.netmap.borrow().node.is_none() && !agent.progress.borrow().connected);
}
