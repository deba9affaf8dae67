//! The whole channel: client and coordinator, with HTTP/2 inside.

use std::{convert::Infallible, future::Future};

use bytes::Bytes;
#[allow(clippy::disallowed_types, reason = "a test reads frame by frame what it sent itself")]
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    rt::Executor,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;
use crate::client::{Connect, connect};

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// A client and a coordinator that have met, over a connection that holds so many bytes.
async fn meet(capacity: usize) -> (NoiseStream<DuplexStream>, NoiseStream<DuplexStream>) {
    let (near, mut far) = duplex(capacity);
    let (client, server) =
        (MachinePrivate::from_bytes([1; 32]), MachinePrivate::from_bytes([2; 32]));
    let options = Connect {
        host: "home",
        machine: &client,
        server: server.public(),
        version: 130,
        timeout: LIMIT,
    };
    let coordinator = async {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(far.read_u8().await.unwrap());
        }
        let text = String::from_utf8(text).unwrap();
        let header =
            text.lines().find_map(|line| line.strip_prefix("x-tailscale-handshake: ")).unwrap();
        let handshake = Handshake::from_header(header.as_bytes(), &server).unwrap();
        assert_eq!((handshake.machine(), handshake.version()), (client.public(), 130));
        far.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: tailscale-control-protocol\r\n\r\n",
        )
        .await
        .unwrap();
        handshake.accept(far, LIMIT).await.unwrap()
    };
    let (near, far) = tokio::join!(connect(near, &options), coordinator);
    (near.unwrap(), far)
}

/// A body of so many bytes, each different from its neighbours, in pieces of odd length.
fn streamed(len: usize) -> BoxBody<Bytes, Infallible> {
    let text: Bytes = (0..len).map(byte).collect();
    let mut rest = text;
    let pieces = std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(7001));
        (!piece.is_empty()).then(|| Ok(Frame::data(piece)))
    });
    BoxBody::new(StreamBody::new(Pieces(pieces)))
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 7) as u8
}

/// An iterator as the simplest of streams.
struct Pieces<I>(I);

impl<I: Iterator + Unpin> futures_util::Stream for Pieces<I> {
    type Item = I::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.get_mut().0.next())
    }
}

async fn check(mut body: impl Body<Data = Bytes, Error: std::fmt::Debug> + Unpin, len: usize) {
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(
            data.iter().enumerate().all(|(index, value)| *value == byte(at + index)),
            "at {at}"
        );
        at += data.len();
    }
    assert_eq!(at, len);
}

const LARGE: usize = 6 * 1024 * 1024 + 13;

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let len = if request.uri().path() == "/large" { LARGE } else { 10 };
    check(request.into_body(), len).await;
    Ok(Response::new(streamed(len)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_runs_inside_with_large_bodies_both_ways() {
    for capacity in [977, 64 * 1024] {
        let (near, far) = meet(capacity).await;
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(Spawn)
                .serve_connection(TokioIo::new(far), service_fn(answer)),
        );
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(Spawn, TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection);

        let request =
            |path, len| Request::post(format!("http://home{path}")).body(streamed(len)).unwrap();
        let (large, small) = (
            sender.send_request(request("/large", LARGE)),
            sender.clone().send_request(request("/small", 10)),
        );
        let (large, small) =
            tokio::join!(async { check(large.await.unwrap().into_body(), LARGE).await }, async {
                check(small.await.unwrap().into_body(), 10).await
            },);
        assert_eq!((large, small), ((), ()));
    }
}

proptest! {
    /// Any header value is refused without a panic.
    #[test]
    fn any_header_is_refused(value in prop::collection::vec(any::<u8>(), 0..200), init in prop::collection::vec(any::<u8>(), 101)) {
        let machine = MachinePrivate::from_bytes([2; 32]);
        prop_assert_eq!(Handshake::from_header(&value, &machine).unwrap_err(), NoiseError::Malformed);
        let encoded = STANDARD.encode(&init);
        prop_assert!(Handshake::from_header(encoded.as_bytes(), &machine).is_err());
    }
}
