//! Bodies that do not end, or stop, on each surface.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{self, Request, header},
    response::Response,
};
use chassis::body::{whole, with_deadline};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{TestGateway, ada, bob, client, gateway, gateway_with};
use crate::routes::agent_listener;

/// A path, and whether an answer has its shape.
type Surface = (&'static str, fn(&Value) -> bool);

/// One path of each API, and the text of its error for a wrong body.
const SURFACES: [Surface; 3] = [
    ("/v1/chat/completions", |error| error["error"]["code"].is_string()),
    ("/api/chat", |error| error["error"].is_string()),
    ("/maru/v1/chat", |error| error["type"].as_str().is_some_and(|of| of.starts_with("urn:maru:"))),
];

fn request(path: &str, body: Body) -> Request<Body> {
    Request::post(path)
        .header(header::HOST, "chat.maru.home.arpa:18789")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap()
}

async fn json(response: Response) -> Value {
    let body = whole(response.into_body(), 1 << 20, Duration::from_secs(30)).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn free(gateway: &TestGateway) -> (usize, usize) {
    (gateway.app.bodies.free(), gateway.app.bodies.free_for_small())
}

#[tokio::test]
async fn a_chunked_body_without_end_is_refused_in_the_shape_of_its_surface() {
    let gateway = gateway_with(|config| {
        config.limits.max_body_bytes = 100_000;
        config.limits.max_plain_body_bytes = 100_000;
    });
    let before = free(&gateway);
    for (path, is_error) in SURFACES {
        let piece = || Ok::<_, std::convert::Infallible>(Bytes::from_static(b" "));
        let endless = Body::from_stream(stream::repeat_with(piece));
        let socket = gateway.agent_socket();
        let header = ada().header;
        let answer = client::try_send(&socket, Some(&header), request(path, endless)).await;
        let answer = answer.expect("it is answered");
        assert_eq!(answer.status, http::StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        let error = answer.json().await;
        assert!(is_error(&error), "{path}: {error}");
        // The room is given back as the answer begins.
        assert_eq!(free(&gateway), before, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_stops_is_refused_in_the_shape_of_its_surface() {
    let gateway = gateway();
    let before = free(&gateway);
    for (path, is_error) in SURFACES {
        let first = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{"))]);
        let stops = Body::from_stream(first.chain(stream::pending()));
        let stops = with_deadline(stops, Duration::from_millis(1));
        let mut request = request(path, stops);
        let who = bob().header;
        request.extensions_mut().insert(who);
        let answer = agent_listener(&gateway.app).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), http::StatusCode::REQUEST_TIMEOUT, "{path}");
        let error = json(answer).await;
        assert!(is_error(&error), "{path}: {error}");
        assert_eq!(free(&gateway), before, "{path}");
    }
}

/// Sealed ones too: what many people send at a time finds room, or waits outside.
#[tokio::test]
async fn sealed_bodies_take_room_before_they_are_read() {
    let gateway = gateway();
    let before = gateway.app.bodies.free();
    let half = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{"))]);
    let mut request = request("/maru/v1/chat", Body::from_stream(half.chain(stream::pending())));
    request.headers_mut().insert(header::CONTENT_LENGTH, 1_500_000.into());
    let (socket, header) = (gateway.agent_socket(), ada().header);
    let sender =
        tokio::spawn(async move { drop(client::try_send(&socket, Some(&header), request).await) });
    let taken = async || gateway.app.bodies.free() <= before - 1_500_000;
    testkit::eventually("it takes room", taken).await;
    sender.abort();
}
