//! A coordinator in a directory of its own, and its admin.

use std::{net::SocketAddr, path::Path, time::Duration};

use bytes::Bytes;
use coordinator::{config::Config, relay::Relay, serve::Server};
use coordinator_api::settings::{self, Settings};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use testkit::postgres::Postgres;
use tokio::{net::UnixStream, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{openapi, shared};

/// Longer than anything here takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any answer, in bytes.
const ANSWER_MAX: usize = 16 << 20;

/// Any free port.
const ANY: &str = "127.0.0.1:0";

/// Everyone reaches everyone.
pub(crate) const OPEN: &str =
    r#"{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }] }"#;

/// A coordinator.
pub(crate) struct Coordinator {
    pub(crate) root: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    config: Config,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _database: Option<Postgres>,
}

/// Settings of a test: any free port.
pub(crate) fn settings() -> Settings {
    Settings {
        listen: ANY.parse::<SocketAddr>().unwrap().into(),
        server_url: Some("http://coordinator.test:8443".to_owned()),
        ..Settings::default()
    }
}

/// Who runs the test administers, and who disconnects is told of soon.
pub(crate) fn configured(settings: Settings) -> Config {
    let admin_uid = rustix::process::geteuid().as_raw();
    Config { admin_uid, offline_after: Duration::from_millis(100), ..Config::from(settings) }
}

/// Both.
pub(crate) fn config() -> Config {
    configured(settings())
}

impl Coordinator {
    /// On SQLite.
    pub(crate) async fn start() -> Self {
        Self::with(config(), None).await
    }

    /// On a PostgreSQL of its own.
    pub(crate) async fn on_postgres() -> Self {
        Self::with(config(), Some(Postgres::start())).await
    }

    pub(crate) async fn with(mut config: Config, database: Option<Postgres>) -> Self {
        let root = tempfile::tempdir().unwrap();
        if let Some(database) = &database {
            std::fs::write(root.path().join("database-url"), database.url() + "\n").unwrap();
            config.settings.database_url_file = Some("database-url".into());
        }
        let (address, stop, running) = run(root.path(), &config).await;
        Self { root, address, config, stop, running, _database: database }
    }

    /// On a database that it shares with others that have the same key.
    pub(crate) async fn sharing(url: &str, key: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in
            [("database-url", url), ("shared.key", key), ("derp.json", shared::RELAYS)]
        {
            std::fs::write(root.path().join(file), text).unwrap();
        }
        let config = configured(Settings {
            database_url_file: Some("database-url".into()),
            derp_map_file: Some("derp.json".into()),
            derp_map_only: true,
            shared: Some(settings::Shared { key_file: "shared.key".into() }),
            ..settings()
        });
        let (address, stop, running) = run(root.path(), &config).await;
        Self { root, address, config, stop, running, _database: None }
    }

    /// With a policy under which everyone reaches everyone.
    pub(crate) async fn open() -> Self {
        let coordinator = Self::start().await;
        coordinator.ok(Method::PUT, "/policy", json!({ "policy": OPEN })).await;
        coordinator
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        (self.address, self.stop, self.running) = run(self.root.path(), &self.config).await;
    }

    /// Ends it. What it has written stays.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        timeout(PATIENCE, &mut self.running).await.expect("it stops").unwrap();
    }

    /// Asks the admin API.
    pub(crate) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let (status, answer) = ask_admin(self.root.path(), method.clone(), path, body)
            .await
            .expect("the admin API answers");
        openapi::check(&method, path, status, &answer);
        (status, answer)
    }

    /// Asks the admin API for what must succeed.
    pub(crate) async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Makes a pre-auth key.
    pub(crate) async fn key(&self, wanted: Value) -> String {
        let user = wanted.get("user").and_then(Value::as_str).map(str::to_owned);
        if let Some(user) = user {
            // It may be there already.
            self.admin(Method::POST, "/users", json!({ "name": user })).await;
        }
        self.ok(Method::POST, "/keys", wanted).await["key"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn devices(&self) -> Vec<Value> {
        self.ok(Method::GET, "/devices", Value::Null).await.as_array().unwrap().clone()
    }
}

/// Reads the body of an answer; nothing if it breaks off.
pub(crate) async fn whole(answer: Response<Incoming>) -> Option<Bytes> {
    chassis::body::whole(answer.into_body(), ANSWER_MAX, PATIENCE).await.ok()
}

async fn run(root: &Path, config: &Config) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    relay_was_here(root, config).await;
    let stop = CancellationToken::new();
    let server = Server::start(root, config.clone(), stop.clone()).await.unwrap();
    let address = server.address();
    (address, stop, tokio::spawn(async { server.run().await.unwrap() }))
}

/// Lets the relay start once, so that its certificate is there; unless the coordinator relays itself.
pub(crate) async fn relay_was_here(root: &Path, config: &Config) {
    if config.settings.relay.embedded {
        return;
    }
    let any: SocketAddr = ANY.parse().unwrap();
    let [listen, stun_listen] = [any.into(), any.into()];
    let relay = settings::Relay { listen, stun_listen, ..config.settings.relay.clone() };
    let settings = Settings { relay, ..config.settings.clone() };
    let config = Config { settings, ..config.clone() };
    drop(Relay::start(root, &config, CancellationToken::new()).await.unwrap());
}

/// Asks the admin API of the coordinator in this root; nothing if there is no answer, or not all of one.
pub(crate) async fn ask_admin(
    root: &Path,
    method: Method,
    path: &str,
    body: Value,
) -> Option<(StatusCode, Value)> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("host", "maru")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .unwrap();
    let socket = UnixStream::connect(root.join("run/maru/coordinator/admin.sock")).await.ok()?;
    let response = testkit::http::send(socket, request).await?;
    let status = response.status;
    let bytes = response.bytes().await.ok()?;
    Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}
