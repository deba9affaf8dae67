//! Large bodies that come slowly.

use axum::{
    body::{Body, Bytes},
    http::{self, header},
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::{Member, TestGateway, ada, bob, client, gateway_with, member};

/// Sends a request's head and the first byte of a body of 12 MB, and no more.
fn slow(gateway: &TestGateway, who: &Member) -> tokio::task::JoinHandle<()> {
    let first = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{"))]);
    let request = http::Request::post("/v1/chat/completions")
        .header(header::HOST, "chat.maru.home.arpa:18789")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, 12_000_000)
        .body(Body::from_stream(first.chain(stream::pending())))
        .unwrap();
    let (socket, header) = (gateway.agent_socket(), who.header.clone());
    tokio::spawn(async move {
        drop(client::try_send(&socket, Some(&header), request).await);
    })
}

#[tokio::test]
async fn two_who_send_slowly_leave_room_for_others() {
    let gateway = gateway_with(|config| config.limits.plain_bodies_bytes = 48_000_000);
    let senders = [ada(), ada(), bob(), bob()].map(|who| slow(&gateway, &who));
    let taken = async || gateway.app.bodies.free() <= 12_000_000;
    testkit::eventually("they have room", taken).await;

    let image = format!("data:image/png;base64,iVBORw0KGgoAAAAN{}", "A".repeat(5_000_000));
    let part = json!({"type": "image_url", "image_url": {"url": image}});
    let message = json!({"role": "user", "content": [part]});
    let body = json!({"model": "llamacpp/smollm2", "messages": [message]});
    let answer = gateway.post(&member(33), "/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200);
    senders.iter().for_each(tokio::task::JoinHandle::abort);
}
