//! A homeserver for tests: a new database, and clients that call the router directly.
//!
//! [`postgres`] runs every test once more, on the other engine.
#![allow(dead_code, reason = "each area uses a part of it")]

mod postgres;
mod rooms;
pub(crate) mod signer;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use mesh_identity::{Header, Identity, User, VERSION};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedUserId, RoomId, UInt, UserId};
use serde_json::Value;
use store::{Database, seal::Key};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{
    api,
    homeserver::{Homeserver, Setup, WallClock},
    media::folder::Limits,
    session::token_hash,
    sign_in::tokens::{Change, SignedIn},
};

/// The network of tests.
pub(crate) const NETWORK: &str = "maru.test";

/// A homeserver with its router.
pub(crate) struct TestServer {
    /// The homeserver.
    pub(crate) homeserver: Arc<Homeserver>,
    /// All its endpoints.
    pub(crate) router: Router,
    /// By how much its clock is ahead, in milliseconds.
    pub(crate) ahead: Arc<AtomicI64>,
    folder: TempDir,
    database: Database,
}

/// An app that signed in.
#[derive(Clone)]
pub(crate) struct TestClient {
    /// The person.
    pub(crate) user: OwnedUserId,
    /// The app.
    pub(crate) device: OwnedDeviceId,
    /// The access token.
    pub(crate) token: String,
    /// The node from which it calls.
    pub(crate) header: Header,
    router: Router,
}

/// The header of a node of the person with this number.
pub(crate) fn header(mesh_user: u64, login: &str, node: &str) -> Header {
    let user = User { id: mesh_user, login: login.to_owned() };
    Header {
        source: SocketAddr::from(([100, 64, 0, 2], 40_000)),
        destination: SocketAddr::from(([100, 64, 0, 1], 80)),
        identity: Identity {
            v: VERSION,
            node: node.to_owned(),
            user: Some(user),
            tags: Vec::new(),
            service: "telmeet".to_owned(),
        },
        authority: None,
    }
}

/// The number of a person, made from the name, so that several apps of a name belong to one person.
fn mesh_user(name: &str) -> u64 {
    name.bytes().fold(0, |number: u64, byte| (number * 31 + u64::from(byte)) % 1_000_000)
}

fn wall_clock(ahead: &Arc<AtomicI64>) -> WallClock {
    let ahead = Arc::clone(ahead);
    WallClock::new(move || {
        let now = u64::from(MilliSecondsSinceUnixEpoch::now().get());
        let now = now.saturating_add_signed(ahead.load(Ordering::Relaxed));
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(now))
    })
}

/// Starts a homeserver on a database.
async fn homeserver(
    folder: &Path,
    database: &Database,
    limits: Limits,
    ahead: &Arc<AtomicI64>,
) -> Arc<Homeserver> {
    let setup = Setup {
        network: NETWORK.to_owned(),
        database: database.clone(),
        key: Key::new(&[7; 32]),
        media: folder.join("media"),
        program: folder.join("none"),
        plain_oauth: false,
        limits,
        time: wall_clock(ahead),
    };
    Homeserver::start(setup, None).await.unwrap()
}

impl TestServer {
    /// Starts with an empty database.
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    /// Starts with an empty database and these limits.
    pub(crate) async fn start_with(limits: Limits) -> Self {
        let folder = TempDir::new().unwrap();
        let database = postgres::database(folder.path()).await;
        Self::open(folder, database, limits, Arc::default()).await
    }

    /// Starts with this database.
    pub(crate) async fn start_on(database: Database) -> Self {
        Self::open(TempDir::new().unwrap(), database, Limits::default(), Arc::default()).await
    }

    /// Where the database and the media are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts again on the same database.
    pub(crate) async fn restart(self) -> Self {
        self.homeserver.close().await;
        drop(self.router);
        Self::open(self.folder, self.database, Limits::default(), self.ahead).await
    }

    async fn open(
        folder: TempDir,
        database: Database,
        limits: Limits,
        ahead: Arc<AtomicI64>,
    ) -> Self {
        let homeserver = homeserver(folder.path(), &database, limits, &ahead).await;
        let router = api::router(Arc::clone(&homeserver));
        Self { homeserver, router, ahead, folder, database }
    }

    /// The same app at another homeserver, which was just started on the same database.
    pub(crate) async fn beside(&self, client: &TestClient) -> TestClient {
        let (folder, limits) = (self.folder.path(), Limits::default());
        let router = api::router(homeserver(folder, &self.database, limits, &self.ahead).await);
        TestClient { router, ..client.clone() }
    }

    /// An app that signed in before a restart.
    pub(crate) fn client(&self, before: &TestClient) -> TestClient {
        TestClient { router: self.router.clone(), ..before.clone() }
    }

    /// Signs an app in, and the person if it is new.
    pub(crate) async fn member(&self, name: &str, device: &str) -> TestClient {
        let client = self.app(name, device);
        let (node, mesh_user) = (client.header.identity.node.clone(), mesh_user(name));
        let (name, id) = (name.to_owned(), client.user.to_string());
        let (hash, seen) = (token_hash(&client.token), u64::from(self.homeserver.now().get()));
        let person = User { id: mesh_user, login: name.clone() };
        let app = SignedIn::new(client.user.clone(), device.into(), node.clone(), person, seen);
        let row = (hash.to_vec(), node, device.to_owned());
        let write = self.homeserver.write(move |tx| {
            Box::pin(async move {
                let now = store::column::sql(tx.now().get().into());
                let person = "INSERT INTO people (user_id, mesh_user, login, created_at, visited_at) VALUES ($1, $2, $3, $4, $4) \
                     ON CONFLICT DO NOTHING";
                sqlx::query(person)
                    .bind(id.clone())
                    .bind(store::column::sql(mesh_user))
                    .bind(name)
                    .bind(now)
                    .execute(tx.connection())
                    .await?;
                let device = "INSERT INTO devices (user_id, device_id, token_hash, node, created_at, seen_at) \
                     VALUES ($1, $2, $3, $4, $5, $5)";
                sqlx::query(device)
                    .bind(id)
                    .bind(row.2)
                    .bind(row.0)
                    .bind(row.1)
                    .bind(now)
                    .execute(tx.connection())
                    .await?;
                tx.sessions().push(Change::Opened(hash, Arc::new(app)));
                Ok(())
            })
        });
        write.await.unwrap();
        client
    }

    /// An app of a person that is signed in already.
    pub(crate) fn app(&self, name: &str, device: &str) -> TestClient {
        TestClient {
            user: UserId::parse(format!("@{name}:{NETWORK}")).unwrap(),
            device: device.into(),
            token: format!("token-{name}-{device}"),
            header: header(mesh_user(name), name, &format!("node-{name}-{device}")),
            router: self.router.clone(),
        }
    }
}

impl TestClient {
    /// Calls an endpoint with a JSON body, or without one for `Null`.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .unwrap();
        let response = self.send(request).await;
        let status = response.status();
        let body = chassis::body::whole(response.into_body(), 64 << 20, testkit::PATIENCE);
        let body = body.await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Sends a request of this app.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response {
        let token = format!("Bearer {}", self.token);
        let headers = request.headers_mut();
        headers.insert(header::HOST, format!("rooms.{NETWORK}").parse().unwrap());
        headers.insert(header::AUTHORIZATION, token.parse().unwrap());
        request.extensions_mut().insert(self.header.clone());
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// GET, which must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, Value::Null).await
    }

    /// POST, which must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.ok(Method::POST, path, body).await
    }

    /// PUT, which must succeed.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.ok(Method::PUT, path, body).await
    }

    /// Calls an endpoint, which must succeed.
    pub(crate) async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, body) = self.call(method.clone(), path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {body}");
        body
    }

    /// The person's part of a path with a room.
    pub(crate) fn room(room: &RoomId) -> String {
        room.as_str().replace('!', "%21").replace(':', "%3A")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn unknown_endpoints_have_the_error_of_the_specification() {
        let server = TestServer::start().await;
        let alice = server.member("alice", "PHONE").await;
        let room = RoomId::parse("!a:maru.test").unwrap();
        let path = format!("/_matrix/client/v3/rooms/{}/nothing", TestClient::room(&room));

        for method in [Method::GET, Method::POST, Method::PUT] {
            let (status, body) = alice.call(method, &path, json!({})).await;
            assert_eq!(
                (status, &body["errcode"]),
                (StatusCode::NOT_FOUND, &json!("M_UNRECOGNIZED"))
            );
        }
        assert_eq!(alice.device, "PHONE");
    }
}
