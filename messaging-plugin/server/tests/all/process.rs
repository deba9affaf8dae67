//! The program as a process, and people who use it as the agent lets them.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::PathBuf,
    process::{Child, Command},
};

use mesh_identity::{Header, Identity, User, VERSION};
use serde_json::{Value, json};
use testkit::blocking::{eventually, http};

/// telmeet's root, with its settings.
pub(crate) struct Root(tempfile::TempDir);

impl Root {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let uid = fs::metadata("/proc/self").unwrap().uid();
        fs::write(root.path().join("telmeet.toml"), format!("agent_uid = {uid}\n")).unwrap();
        Self(root)
    }

    pub(crate) fn start(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-telmeet"));
        command.arg("--root").arg(self.0.path());
        command.arg("--config").arg(self.0.path().join("telmeet.toml")).spawn().unwrap()
    }

    pub(crate) fn person(&self, number: u64) -> Person {
        let socket = self.0.path().join("run/maru/telmeet/http.sock");
        let mut person = Person { socket, number, token: String::new(), id: String::new() };
        person.sign_in();
        person
    }
}

/// A person's app.
pub(crate) struct Person {
    socket: PathBuf,
    number: u64,
    token: String,
    pub(crate) id: String,
}

impl Person {
    fn sign_in(&mut self) {
        let password = self.must("POST", "/maru/v1/rooms/login", &json!({}));
        let login = json!({
            "type": "m.login.password", "password": password["password"],
            "identifier": {"type": "m.id.user", "user": password["user_id"]},
        });
        let signed_in = self.must("POST", "/_matrix/client/v3/login", &login);
        let text = |name: &str| signed_in[name].as_str().unwrap().to_owned();
        (self.token, self.id) = (text("access_token"), text("user_id"));
    }

    /// A response, which must come.
    pub(crate) fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        eventually("telmeet answers", || self.ask(method, path, body))
    }

    /// A response, unless telmeet is away or ends meanwhile.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Option<Value> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.write_all(&self.header().encode().unwrap()).ok()?;
        let token = format!("Bearer {}", self.token);
        let headers: &[_] = if self.token.is_empty() { &[] } else { &[("Authorization", &*token)] };
        let body = (method != "GET").then(|| body.to_string());
        let host = "rooms.maru.home.arpa";
        let response = http::request(stream, method, path, host, headers, body.as_deref()).ok()?;
        let status = response.status;
        let body: Value = response.json().ok()?;
        assert_eq!(status, 200, "{method} {path}: {body}");
        Some(body)
    }

    /// Sends bytes that are no JSON, or asks for some. Returns the head of the response, and its body.
    pub(crate) fn bytes(&self, head: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(&self.header().encode().unwrap()).unwrap();
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{head} HTTP/1.1\r\nHost: rooms.maru.home.arpa\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
        (head, response[end + 4..].to_vec())
    }

    fn header(&self) -> Header {
        let user = User { id: self.number, login: format!("p{}", self.number) };
        Header {
            source: "100.64.0.9:40000".parse().unwrap(),
            destination: "100.64.0.1:80".parse().unwrap(),
            authority: None,
            identity: Identity {
                v: VERSION,
                node: format!("n{}", self.number),
                user: Some(user),
                tags: Vec::new(),
                service: "telmeet".to_owned(),
            },
        }
    }
}
