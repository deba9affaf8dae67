//! The control client against a coordinator that says what the test wants.

use std::{future::ready, path::Path, sync::Mutex, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State as Ctx},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bytes::Bytes;
use control_protocol::{
    frame,
    key::MachinePrivate,
    key_response::{self, KeyResponse},
    map::{self, MapRequest, MapResponse, Node},
};
use control_stream::{HANDSHAKE_HEADER, UPGRADE, server::Handshake};
use futures_util::{StreamExt as _, stream};
use hyper::upgrade::OnUpgrade;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use node_agent_core::netmap::{Naming, Netmap};
use tokio::{net::TcpListener, time::timeout};

use super::*;
use crate::{
    config::{Config, Paths},
    state::State as Stored,
};

/// Longer than anything here takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A coordinator.
struct Fake {
    noise: MachinePrivate,
    /// What it says in plain that its key is.
    shown: MachinePublic,
    /// Its answer to a device that registers, or why it has none now.
    register: Mutex<Result<RegisterResponse, &'static str>>,
    /// The map of each device.
    map: MapResponse,
}

impl Fake {
    /// Takes every device in, and has one key.
    fn new() -> Self {
        let noise = MachinePrivate::from_bytes([2; 32]);
        let admitted = RegisterResponse { machine_authorized: true, ..RegisterResponse::default() };
        let node = Node {
            id: 1,
            name: "laptop.maru.home.arpa.".to_owned(),
            machine_authorized: true,
            ..Node::default()
        };
        Self {
            shown: noise.public(),
            noise,
            register: Mutex::new(Ok(admitted)),
            map: MapResponse { node: Some(node), ..MapResponse::default() },
        }
    }

    /// Listens; returns itself and its address.
    async fn start(self) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = Arc::new(self);
        let outside = Router::new()
            .route(key_response::PATH, get(key))
            .route(control_protocol::UPGRADE_PATH, post(upgrade))
            .with_state(Arc::clone(&this));
        tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(outside.clone());
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(io), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        (this, url)
    }
}

async fn key(Ctx(fake): Ctx<Arc<Fake>>) -> Json<KeyResponse> {
    Json(KeyResponse::new(fake.shown))
}

async fn admit(Ctx(fake): Ctx<Arc<Fake>>) -> Response {
    match fake.register.lock().unwrap().clone() {
        Ok(answer) => Json(answer).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

async fn upgrade(Ctx(fake): Ctx<Arc<Fake>>, mut request: Request) -> Response {
    let init = request.headers()[HANDSHAKE_HEADER].as_bytes();
    let Ok(handshake) = Handshake::from_header(init, &fake.noise) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().unwrap();
    let inside = Router::new()
        .route(register::PATH, post(admit))
        .route(map::PATH, post(tell))
        .with_state(fake);
    tokio::spawn(async move {
        let io = TokioIo::new(upgrade.await.unwrap());
        let stream = handshake.accept(io, LIMIT).await.unwrap();
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(inside));
        let _ = connection.await;
    });
    let headers = [(header::UPGRADE, UPGRADE), (header::CONNECTION, "upgrade")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// A map stream that says one thing, or nothing to a device that only reports.
async fn tell(Ctx(fake): Ctx<Arc<Fake>>, Json(request): Json<MapRequest>) -> Body {
    if !request.stream {
        return Body::empty();
    }
    let json = serde_json::to_vec(&fake.map).unwrap();
    let mut message = Vec::new();
    frame::encode(&zstd::bulk::compress(&json, 1).unwrap(), &mut message).unwrap();
    let first = stream::once(ready(Ok::<_, std::io::Error>(Bytes::from(message))));
    Body::from_stream(first.chain(stream::pending()))
}

/// A device that belongs to the coordinator at `url`, as far as it knows.
fn member(root: &Path, url: &str, noise_key: MachinePublic) -> Arc<Agent> {
    let mut state = Stored::generate().unwrap();
    state.membership = Some(Membership {
        server_url: url.to_owned(),
        noise_key: Some(noise_key),
        auth_key: None,
        ca: None,
        hostname: None,
        registered: false,
        naming: Naming::Open,
    });
    Arc::new(Agent::new(Config::default(), Paths::new(root), state, Netmap::default()))
}

/// Runs the client until the progress is as wanted; fails if it ends before.
async fn until(agent: &Arc<Agent>, wanted: impl Fn(&crate::agent::Progress) -> bool) {
    let mut progress = agent.progress.subscribe();
    tokio::select! {
        ended = run(Arc::clone(agent)) => panic!("{ended:?}"),
        found = timeout(LIMIT, progress.wait_for(|progress| wanted(progress))) => {
            found.expect("in time").unwrap();
        }
    }
}

async fn ended(agent: &Arc<Agent>) -> ControlEnd {
    timeout(LIMIT, run(Arc::clone(agent))).await.expect("in time")
}

/// A coordinator whose clock shows `control_time` while the device's key ends at the century's begin.
fn with_clock(control_time: &str) -> Fake {
    let mut fake = Fake::new();
    fake.map.node.as_mut().unwrap().key_expiry = Some("2001-01-01T00:00:00Z".to_owned());
    fake.map.control_time = Some(control_time.to_owned());
    fake
}

#[tokio::test]
async fn a_key_ends_by_the_coordinators_clock_and_not_by_ours() {
    let root = tempfile::tempdir().unwrap();
    let (fake, url) = with_clock("2000-12-31T23:59:59Z").start().await;
    let agent = member(root.path(), &url, fake.shown);
    until(&agent, |progress| progress.connected && progress.state == State::Running).await;
    assert!(!agent.is_expired(), "what it said holds while it is there");

    let (fake, url) = with_clock("2001-01-01T00:00:00Z").start().await;
    let agent = member(root.path(), &url, fake.shown);
    assert_eq!(ended(&agent).await, ControlEnd::KeyExpired);
}

#[tokio::test]
async fn a_key_that_does_not_hold_is_followed_by_the_next_ever_more_slowly() {
    let root = tempfile::tempdir().unwrap();
    let (fake, url) = Fake::new().start().await;
    *fake.register.lock().unwrap() =
        Ok(RegisterResponse { node_key_expired: true, ..RegisterResponse::default() });
    let agent = member(root.path(), &url, fake.shown);

    for failures in 1..=2 {
        assert_eq!(ended(&agent).await, ControlEnd::KeyExpired);
        agent.rotate_node_key().unwrap();
        assert_eq!(agent.attempts.failures(), failures);
    }

    *fake.register.lock().unwrap() =
        Ok(RegisterResponse { machine_authorized: true, ..RegisterResponse::default() });
    until(&agent, |progress| progress.connected).await;
    assert_eq!(agent.attempts.failures(), 0);
}

#[tokio::test]
async fn a_device_that_is_put_off_asks_again() {
    let root = tempfile::tempdir().unwrap();
    let (fake, url) = Fake::new().start().await;
    let admitted =
        std::mem::replace(&mut *fake.register.lock().unwrap(), Err("too many wait\u{7}"));
    let agent = member(root.path(), &url, fake.shown);

    until(&agent, |progress| {
        progress.problem.as_ref().is_some_and(|it| it.to_string().contains("too many wait\u{fffd}"))
    })
    .await;
    *fake.register.lock().unwrap() = admitted;

    until(&agent, |progress| progress.connected).await;
}

#[tokio::test]
async fn what_is_said_in_plain_about_a_pinned_key_ends_no_membership() {
    let root = tempfile::tempdir().unwrap();
    let liar = Fake { shown: MachinePublic::from_bytes([9; 32]), ..Fake::new() };
    let (fake, url) = liar.start().await;
    let agent = member(root.path(), &url, fake.noise.public());
    until(&agent, |progress| progress.connected).await;

    // Nor does a handshake that somebody spoils.
    let agent = member(root.path(), &url, MachinePublic::from_bytes([9; 32]));
    until(&agent, |progress| {
        progress.problem.as_ref().is_some_and(|it| it.to_string().contains("has another key"))
    })
    .await;
    assert!(agent.membership().is_some());
}

#[tokio::test]
async fn an_invitation_for_another_coordinator_ends_at_once() {
    let root = tempfile::tempdir().unwrap();
    let (_, url) = Fake::new().start().await;
    let agent = member(root.path(), &url, MachinePublic::from_bytes([9; 32]));
    agent.change_membership(|membership| membership.auth_key = Some("sesame".to_owned()));

    let ControlEnd::Refused(reason) = ended(&agent).await else { panic!("its key had not ended") };

    assert!(reason.to_string().contains("another coordinator"), "{reason}");
}
