//! What a website, and an app, may request of telmeet's two names, through the listener.

use serde_json::{Value, json};

use super::*;
use crate::testing::{NETWORK, TestServer};

const EVIL: &str = "Origin: https://evil.example\r\n";

/// telmeet with a homeserver, and an access token.
pub(super) struct Daemon {
    pub(super) path: PathBuf,
    token: String,
    _root: tempfile::TempDir,
    _server: TestServer,
    task: JoinHandle<()>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn house() -> Daemon {
    let root = tempfile::tempdir().unwrap();
    let config =
        Settings { agent_uid: own_uid(), network: NETWORK.to_owned(), ..Settings::default() };
    let path = root.path().join(&config.socket);
    let socket = Socket::bind(&path, Access::Group).unwrap();
    let server = TestServer::start().await;
    let token = server.member("ada", "PHONE").await.token;
    let relay = router(Arc::new(Relay::new(&config, root.path())));
    let front = front::router(front::site(&config.rooms_host()), relay, server.router.clone());
    let task = tokio::spawn(super::server(&config).serve(socket, front, std::future::pending()));
    Daemon { path, token, _root: root, _server: server, task }
}

/// Status, head in lower case, and body.
pub(super) type Answer = (u16, String, String);

impl Daemon {
    /// Asks as a member does: `METHOD path`, further headers, and a body.
    async fn ask(&self, host: &str, asked: &str, headers: &str, body: &str) -> Answer {
        let mut io = UnixStream::connect(&self.path).await.unwrap();
        io.write_all(&member().encode().unwrap()).await.unwrap();
        let length = body.len();
        let request = format!(
            "{asked} HTTP/1.1\r\nHost: {host}.{NETWORK}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        io.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut io).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    pub(super) async fn rooms(&self, asked: &str, headers: &str, body: &str) -> Answer {
        self.ask("rooms", asked, headers, body).await
    }
}

fn code(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap()["errcode"].clone()
}

#[tokio::test]
async fn each_name_has_its_own_endpoints() {
    let house = house().await;
    let keys = "/maru/v1/keys";
    let nothing = (404, json!("M_UNRECOGNIZED"));
    let (status, _, body) = house.rooms(&format!("GET {keys}"), "", "").await;
    assert_eq!((status, code(&body)), nothing, "the relay is not there");
    assert_eq!(house.ask("chat", &format!("GET {keys}"), "", "").await.0, 502, "it is here");
    let (status, _, body) = house.rooms("GET /_matrix/nothing", "", "").await;
    assert_eq!((status, code(&body)), nothing);
    let (status, _, body) = house.ask("chat", "GET /_matrix/client/versions", "", "").await;
    assert!(status == 404 && body.contains("urn:maru:problem:"), "{body}");
    let (status, _, body) = house.ask("evil", "GET /_matrix/client/versions", "", "").await;
    assert_eq!((status, code(&body)), (421, json!("M_UNRECOGNIZED")));
}

#[tokio::test]
async fn a_website_may_read_every_response_of_the_api_but_signs_nobody_in() {
    let house = house().await;
    let open = "access-control-allow-origin: *";
    let (status, head, _) = house.rooms("OPTIONS /_matrix/client/v3/sync", EVIL, "").await;
    assert!(status == 204 && head.contains(open), "{head}");
    assert!(
        head.contains(
            "access-control-allow-headers: x-requested-with, content-type, authorization"
        )
    );
    for asked in ["GET /_matrix/nothing", "PURGE /_matrix/nothing", "GET /.well-known/matrix/x"] {
        let (status, head, _) = house.rooms(asked, EVIL, "").await;
        assert!(status == 404 && head.contains(open), "{asked}: {head}");
    }
    let text = format!("{EVIL}Content-Type: text/plain\r\n");
    let (status, head, body) = house.rooms("POST /_matrix/nothing", &text, "{}").await;
    assert_eq!((status, code(&body)), (415, json!("M_NOT_JSON")), "without a token");
    assert!(head.contains(open), "{head}");
    let with_token = format!("{text}Authorization: Bearer {}\r\n", house.token);
    assert_eq!(house.rooms("POST /_matrix/nothing", &with_token, "{}").await.0, 404);

    // What the person's network position allows alone.
    let form = format!("{EVIL}Content-Type: application/x-www-form-urlencoded\r\n");
    let json = format!("{EVIL}Content-Type: application/json\r\n");
    for (asked, headers) in [
        ("GET /sign-in/sso?redirectUrl=https://evil.example", EVIL),
        ("POST /sign-in/confirm", &form),
        ("OPTIONS /sign-in/confirm", EVIL),
        ("POST /maru/v1/rooms/login", &json),
        ("OPTIONS /maru/v1/rooms/login", EVIL),
        ("GET /upAAAA/json?poll=1&since=all", EVIL),
        ("GET /upAAAA/ws", EVIL),
        ("POST /upAAAA", &json),
        ("OPTIONS /upAAAA", EVIL),
        ("POST /_matrix/push/v1/notify", &json),
    ] {
        let (status, head, _) = house.rooms(asked, headers, "").await;
        assert!(status == 403 && !head.contains("access-control"), "{asked}: {head}");
    }
}
