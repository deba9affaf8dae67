//! Endpoints whose bodies are not JSON: bytes and WebSockets.

use axum::body::Body;
use chassis::{endpoint::serve, websocket};

use super::*;

endpoint::declare! {
    /// Endpoints whose bodies are not JSON.
    DECLARED for Member, below "/v1";

    /// Sends back what comes.
    SOCKET: GET "/socket" => endpoint::WebSocket;
    /// Stores a picture.
    PICTURE: PUT "/pictures/{name}" (endpoint::Bytes<9>), media(&["image/png", "text/plain"]);
}

pub(super) fn router() -> Router {
    let echo = async |request| {
        websocket::accept(request, async |mut stream| {
            let mut bytes = [0; 4];
            while stream.read_exact(&mut bytes).await.is_ok() {
                stream.write_all(&bytes).await.unwrap();
            }
        })
    };
    let store = async |body: Body| {
        let read = chassis::body::whole(body, 100, Duration::from_secs(60)).await;
        read.map(|bytes| bytes.len().to_string()).map_err(|error| error.status())
    };
    chassis::endpoint::router([serve(&SOCKET, echo), serve(&PICTURE, store)])
}

#[tokio::test]
async fn a_declared_body_is_accepted_and_a_form_is_not() {
    let running = start();
    let send = async |extra: &str, body: &str| {
        let request = request("PUT /v1/pictures/a", extra, body);
        exchange(&running.path, &[&header("n1"), &request]).await
    };
    let png = "Content-Type: image/png\r\n";
    let answer = send(png, "123456789").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('9'), "{answer}");
    assert!(send(png, "1234567890").await.starts_with("HTTP/1.1 413"), "by its announced length");
    let chunked = format!("{png}Transfer-Encoding: chunked\r\n");
    let head = request("PUT /v1/pictures/a", &chunked, "");
    let parts = [&header("n1")[..], &head, b"a\r\n1234567890\r\n0\r\n\r\n"];
    assert!(exchange(&running.path, &parts).await.starts_with("HTTP/1.1 413"), "by its length");

    for kind in ["text/plain", "application/json", "image/jpeg", "image/png, text/plain"] {
        let answer = send(&format!("Content-Type: {kind}\r\n"), "1").await;
        assert!(answer.starts_with("HTTP/1.1 415"), "{kind}: {answer}");
    }
    let answer = send(&format!("{png}Origin: https://evil.example\r\n"), "1").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn opening(extra: &str) -> Vec<u8> {
    let request = format!("GET /v1/socket HTTP/1.1\r\nHost: 100.64.0.1\r\n{HANDSHAKE}{extra}\r\n");
    [header("n1"), request.into_bytes()].concat()
}

#[tokio::test]
async fn a_websocket_is_opened_and_counts_as_a_connection_until_it_ends() {
    let running = start_with(own_uid(), Limits { per_node: 1, ..Limits::default() });
    let mut socket = UnixStream::connect(&running.path).await.unwrap();
    socket.write_all(&opening("")).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    // RFC 6455, section 1.3.
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    for message in [b"ping", b"pong"] {
        socket.write_all(message).await.unwrap();
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, message);
    }

    let ask = request("GET /who", "", "");
    assert_eq!(exchange(&running.path, &[&header("n1"), &ask]).await, "", "one too many");
    drop(socket);
    let begun = Instant::now();
    while exchange(&running.path, &[&header("n1"), &ask]).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the permit is not given back");
    }
}

#[tokio::test]
async fn a_website_opens_no_websocket_and_a_plain_request_is_told_what_is_missing() {
    let running = start();
    let foreign = opening("Origin: https://evil.example\r\n");
    let mut io = UnixStream::connect(&running.path).await.unwrap();
    io.write_all(&foreign).await.unwrap();
    let mut start = [0; 12];
    io.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 403");
    let answer =
        exchange(&running.path, &[&header("n1"), &request("GET /v1/socket", "", "")]).await;
    assert!(
        answer.starts_with("HTTP/1.1 426") && answer.contains("upgrade: websocket"),
        "{answer}"
    );
}
