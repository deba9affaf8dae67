//! A phone's WebSocket, through the listener, spoken as the app ntfy does.

use serde_json::{Value, json};

use super::{
    websites::{Daemon, house},
    *,
};

const OPENING: &str = "GET /upAAAA/ws?since=all HTTP/1.1\r\nHost: rooms.maru.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A message of the server, and other frames by their first byte.
async fn frame(io: &mut UnixStream) -> (u8, Vec<u8>) {
    let (first, length) = (io.read_u8().await.unwrap(), io.read_u8().await.unwrap());
    let length = match length {
        126 => usize::from(io.read_u16().await.unwrap()),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

/// Expects a frame after messages.
async fn other_frame(io: &mut UnixStream, expected: (u8, Vec<u8>)) {
    let mut next = frame(io).await;
    while next.0 == 0x81 {
        next = frame(io).await;
    }
    assert_eq!(next, expected);
}

async fn message(io: &mut UnixStream) -> Value {
    let (first, payload) = frame(io).await;
    assert_eq!(first, 0x81);
    serde_json::from_slice(&payload).unwrap()
}

/// A phone whose WebSocket was accepted.
async fn phone(house: &Daemon) -> UnixStream {
    let mut io = UnixStream::connect(&house.path).await.unwrap();
    io.write_all(&member().encode().unwrap()).await.unwrap();
    io.write_all(OPENING.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    io
}

#[tokio::test]
async fn a_phone_hears_its_topic_over_a_websocket_until_it_closes() {
    let house = house().await;
    let mut io = phone(&house).await;
    assert_eq!(message(&mut io).await["event"], "open");

    let sent = json!({"long": "x".repeat(1_000)}).to_string();
    let json = "Content-Type: application/json\r\n";
    assert_eq!(house.rooms("POST /upAAAA", json, &sent).await.0, 200);
    let heard = message(&mut io).await;
    assert_eq!((&heard["topic"], &heard["message"]), (&json!("upAAAA"), &json!(sent)));

    io.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i', 0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(frame(&mut io).await, (0x88, vec![]), "the close frame answers both");
    assert_eq!(io.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_phone_that_breaks_the_protocol_is_disconnected() {
    let house = house().await;
    let mut io = phone(&house).await;
    io.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    other_frame(&mut io, (0x8a, b"hi".to_vec())).await;
    // The head of a message of 64 KiB.
    io.write_all(&[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0]).await.unwrap();
    other_frame(&mut io, (0x88, vec![])).await;
    assert_eq!(io.read(&mut [0]).await.unwrap(), 0);
}
