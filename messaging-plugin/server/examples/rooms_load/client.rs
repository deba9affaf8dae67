//! A person's app: one connection, and an access token.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use mesh_identity::{Header, Identity, User, VERSION};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::sleep,
};

use crate::Failure;

/// Largest body of a response, in bytes.
const BODY_MAX: usize = 64 << 20;
/// Few events, as apps ask for.
pub(crate) const FILTER: &str = "filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A20%7D%2C%22state%22%3A%7B%22lazy_load_members%22%3Atrue%7D%7D%7D";
/// How long a person waits who asked too often.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a body may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The homeserver.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// telmeet's socket.
    Telmeet(PathBuf),
    /// The address of another one.
    Other(String),
}

/// A person's app.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
    /// Which person.
    pub(crate) number: usize,
    token: String,
    next: u64,
}

impl Client {
    /// Connects without signing in.
    pub(crate) async fn connect(target: &Target, number: usize) -> Result<Self, Failure> {
        let sender = open(target, number).await?;
        Ok(Self { target: target.clone(), sender, number, token: String::new(), next: 0 })
    }

    /// Connects and signs in a person who is new.
    pub(crate) async fn sign_in(target: &Target, number: usize) -> Result<Self, Failure> {
        let mut client = Self::connect(target, number).await?;
        let signed_in = match target {
            Target::Telmeet(_) => {
                let password = client.call(Method::POST, "/maru/v1/rooms/login", json!({})).await?;
                let login = json!({
                    "type": "m.login.password", "password": password["password"],
                    "identifier": {"type": "m.id.user", "user": password["user_id"]},
                });
                client.call(Method::POST, "/_matrix/client/v3/login", login).await?
            }
            Target::Other(_) => {
                let register = json!({
                    "auth": {"type": "m.login.dummy"}, "username": format!("p{number}"), "password": "a long password",
                });
                client.call(Method::POST, "/_matrix/client/v3/register", register).await?
            }
        };
        client.token = text(&signed_in, "access_token")?;
        Ok(client)
    }

    /// Another connection of the same app.
    pub(crate) async fn again(&self, target: &Target) -> Result<Self, Failure> {
        let mut client = Self::connect(target, self.number).await?;
        client.token.clone_from(&self.token);
        Ok(client)
    }

    /// A transaction id that was not used.
    pub(crate) fn transaction(&mut self) -> String {
        self.next += 1;
        format!("t{}", self.next)
    }

    /// Sends a message to a room.
    pub(crate) async fn say(&mut self, room: &str, text: &str) -> Result<(), Failure> {
        let transaction = self.transaction();
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}");
        self.call(Method::PUT, &path, json!({"msgtype": "m.text", "body": text})).await.map(drop)
    }

    /// GET.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes, Failure> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// A request with JSON.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, Failure> {
        let response = self.send(method, path, body.to_string().into()).await?;
        Ok(serde_json::from_slice(&response)?)
    }

    /// The body of the response to a request, which must succeed. One that comes too often is sent again.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        loop {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(path)
                .header(header::HOST, "rooms.maru.home.arpa")
                .header(header::CONTENT_TYPE, "application/json");
            if !self.token.is_empty() {
                let token = format!("Bearer {}", self.token);
                request = request.header(header::AUTHORIZATION, token);
            }
            // Servers close connections that are idle.
            if self.sender.ready().await.is_err() {
                self.sender = open(&self.target, self.number).await?;
            }
            let response = self.sender.send_request(request.body(Full::new(body.clone()))?).await?;
            let status = response.status();
            let body = Body::new(response.into_body());
            let body = chassis::body::whole(body, BODY_MAX, TIMEOUT).await?;
            if status.is_success() {
                return Ok(body);
            }
            if status != StatusCode::TOO_MANY_REQUESTS {
                let said = String::from_utf8_lossy(&body);
                return Err(format!("{path}: {status} {said}").into());
            }
            sleep(PAUSE).await;
        }
    }
}

/// A text of a response.
pub(crate) fn text(response: &Value, name: &str) -> Result<String, Failure> {
    let text = response[name].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("no {name} in {response}").into())
}

/// The position of a sync's response, without reading the rest.
pub(crate) fn next_batch(response: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(response)?;
    let (_, rest) = text.split_once("\"next_batch\":\"").ok_or("no next_batch")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

async fn open(target: &Target, number: usize) -> Result<SendRequest<Full<Bytes>>, Failure> {
    match target {
        Target::Telmeet(socket) => {
            let mut stream = UnixStream::connect(socket).await?;
            stream.write_all(&header(number).encode()?).await?;
            handshake(stream).await
        }
        Target::Other(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            handshake(stream).await
        }
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// What the agent says of a person's node.
fn header(number: usize) -> Header {
    let user = User { id: number as u64 + 1, login: format!("p{number}") };
    Header {
        source: SocketAddr::from(([100, 64, 0, 9], 40_000)),
        destination: SocketAddr::from(([100, 64, 0, 1], 80)),
        authority: None,
        identity: Identity {
            v: VERSION,
            node: format!("n{number}"),
            user: Some(user),
            tags: Vec::new(),
            service: "telmeet".to_owned(),
        },
    }
}
