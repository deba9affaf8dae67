//! A client of OpenClaw's WebSocket, on the agent's socket.

use std::collections::VecDeque;

use ai_gateway_api::wire::Fixed;
use common::websocket;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::super::{Member, TestGateway};

/// What the gateway sent.
#[derive(Debug)]
pub(super) enum Received {
    Frame(Value),
    /// The status of a close frame.
    Closed(u16),
    /// Nothing follows.
    End,
}

pub(in crate::tests) struct Client {
    pub(super) io: UnixStream,
    buffer: Vec<u8>,
    requests: u64,
    /// Events that came while a response was awaited.
    events: VecDeque<Value>,
}

/// A client's frame: the first byte, and the payload to mask.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    // A server's frame has the same length, and no mask.
    let mut frame = websocket::text(&"x".repeat(payload.len()));
    let at = frame.len() - payload.len();
    frame.truncate(at);
    frame[0] = first;
    frame[1] |= 0x80;
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

impl TestGateway {
    /// Opens a WebSocket with these further header lines; the response's head if it is refused.
    pub(super) async fn try_open(&self, who: &Member, extra: &str) -> Result<Client, String> {
        let preface = who.header.encode().unwrap();
        self.try_open_after(&preface, extra).await
    }

    pub(super) async fn try_open_after(
        &self,
        preface: &[u8],
        extra: &str,
    ) -> Result<Client, String> {
        let mut io = UnixStream::connect(self.agent_socket()).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: chat.maru.home.arpa:18789\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        );
        io.write_all(&[preface, request.as_bytes()].concat()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match io.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let head = String::from_utf8(head).unwrap();
        if !head.starts_with("HTTP/1.1 101") {
            return Err(head);
        }
        Ok(Client { io, buffer: Vec::new(), requests: 0, events: VecDeque::new() })
    }

    pub(super) async fn open(&self, who: &Member) -> Client {
        self.try_open(who, "").await.unwrap()
    }

    /// Opens a WebSocket and connects as a device of the member, with these scopes.
    pub(in crate::tests) async fn connect(&self, who: &Member, scopes: &[&str]) -> (Client, Value) {
        let mut client = self.open(who).await;
        let challenge = client.event("connect.challenge").await;
        let hello = client.request("connect", &signed(who, scopes, &challenge)).await;
        assert_eq!(hello["ok"], true, "{hello}");
        (client, hello["payload"].clone())
    }

    pub(in crate::tests) async fn operator(&self, who: &Member) -> Client {
        self.connect(who, &["operator.read", "operator.write"]).await.0
    }
}

/// Parameters of `connect` as the stock client makes them.
pub(super) fn signed(who: &Member, scopes: &[&str], challenge: &Value) -> Value {
    let public = who.key.verifying_key().to_bytes();
    let id = hex::encode(Sha256::digest(public));
    let (nonce, ts) = (challenge["nonce"].as_str().unwrap(), &challenge["ts"]);
    let text = format!("v3|{id}|cli|cli|operator|{}|{ts}|token|{nonce}|linux|", scopes.join(","));
    let signature = Fixed(who.key.sign(text.as_bytes()).to_bytes());
    json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": scopes, "caps": [],
        "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
        "auth": {"token": "token"},
        "device": {"id": id, "publicKey": Fixed(public).to_string(),
            "signature": signature.to_string(), "signedAt": ts, "nonce": nonce},
    })
}

impl Client {
    pub(super) async fn send(&mut self, first: u8, payload: &[u8]) {
        // The gateway may have closed the connection.
        let _ = self.io.write_all(&frame(first, payload)).await;
    }

    /// Sends a request; its id.
    pub(super) async fn ask(&mut self, method: &str, params: &Value) -> String {
        self.requests += 1;
        let id = self.requests.to_string();
        let request = json!({"type": "req", "id": id, "method": method, "params": params});
        self.send(0x81, request.to_string().as_bytes()).await;
        id
    }

    /// Sends a request; its response.
    pub(in crate::tests) async fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params).await;
        loop {
            match self.next().await {
                Received::Frame(frame) if frame["type"] == "res" => {
                    assert_eq!(frame["id"], id.as_str(), "{frame}");
                    return frame;
                }
                Received::Frame(event) => self.events.push_back(event),
                end @ (Received::Closed(_) | Received::End) => panic!("{method}: {end:?}"),
            }
        }
    }

    /// The payload of a request that succeeds.
    pub(in crate::tests) async fn call(&mut self, method: &str, params: &Value) -> Value {
        let response = self.request(method, params).await;
        assert_eq!(response["ok"], true, "{method}: {response}");
        response["payload"].clone()
    }

    /// The error of a request that fails.
    pub(in crate::tests) async fn fail(&mut self, method: &str, params: &Value) -> Value {
        let response = self.request(method, params).await;
        assert_eq!(response["ok"], false, "{method}: {response}");
        response["error"].clone()
    }

    /// The payload of the next event of this name.
    pub(in crate::tests) async fn event(&mut self, name: &str) -> Value {
        while let Some(event) = self.events.pop_front() {
            if event["event"] == name {
                return event["payload"].clone();
            }
        }
        loop {
            match self.next().await {
                Received::Frame(frame) if frame["event"] == name => {
                    return frame["payload"].clone();
                }
                Received::Frame(_) => {}
                end @ (Received::Closed(_) | Received::End) => panic!("{name}: {end:?}"),
            }
        }
    }

    /// The status that the gateway closes with, whatever it sends before.
    pub(super) async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Received::Frame(_) => {}
                Received::Closed(status) => return status,
                Received::End => panic!("cut without a close frame"),
            }
        }
    }

    pub(super) async fn next(&mut self) -> Received {
        loop {
            if let Some((operation, payload)) = self.take() {
                match operation {
                    0x81 => return Received::Frame(serde_json::from_slice(&payload).unwrap()),
                    0x88 => {
                        return Received::Closed(u16::from_be_bytes([payload[0], payload[1]]));
                    }
                    _ => continue,
                }
            }
            let mut bytes = [0; 4096];
            match self.io.read(&mut bytes).await {
                Ok(0) | Err(_) => return Received::End,
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// The first whole frame of what was received.
    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let [operation, short, rest @ ..] = &self.buffer[..] else { return None };
        let (length, head) = match short {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(), 10),
            short => (usize::from(*short), 2),
        };
        let payload = self.buffer.get(head..head + length)?.to_vec();
        let operation = *operation;
        self.buffer.drain(..head + length);
        Some((operation, payload))
    }
}
