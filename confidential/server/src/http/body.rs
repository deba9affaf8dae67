//! Bodies that are held as a whole: each is bounded, and so is what one address and all of them together take.
//!
//! Room is taken for what has arrived, never for what was announced: who announces much and sends nothing takes nothing.

use std::{hash::Hash, net::IpAddr, time::Duration};

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use chassis::{
    problem::ErrorResponse,
    quota::{Permit, Quota},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::{busy, kind, stream::Holding};

/// Longest time that a body may take to arrive.
const ARRIVES: Duration = Duration::from_secs(30);
/// What all bodies together may take, in bytes.
pub(crate) const ALL: usize = 64 << 20;
/// What is counted at once, in bytes.
const UNIT: usize = 4096;

/// Reads bodies.
#[derive(Clone, Debug)]
pub(crate) struct Bodies<K = IpAddr> {
    max: usize,
    /// In bytes.
    room: Quota<K>,
}

/// A body that is held, and its share of the room.
#[derive(Debug)]
pub(crate) struct Held<K: Eq + Hash = IpAddr> {
    pub(crate) bytes: Bytes,
    room: Permit<K>,
}

/// Bytes whose share of a bound is given back when the last reference to them is gone.
pub(crate) fn counted<H: Send + 'static>(bytes: Bytes, held: H) -> Bytes {
    struct Counted<H>(Bytes, H);

    impl<H> AsRef<[u8]> for Counted<H> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    Bytes::from_owner(Counted(bytes, held))
}

impl<K: Clone + Eq + Hash + Send + 'static> Held<K> {
    /// The room that it takes, in bytes.
    pub(crate) fn room(&self) -> usize {
        self.room.count()
    }

    /// The bytes, which take that room as long as anything of them is held.
    pub(crate) fn into_bytes(self) -> Bytes {
        counted(self.bytes, self.room)
    }
}

impl Held {
    /// The same room for what was made of it, which is no longer.
    pub(crate) fn with(self, bytes: Bytes) -> Self {
        Self { bytes, ..self }
    }

    /// To be passed on; its room is given back once it was sent.
    pub(crate) fn into_body(self) -> Body {
        Body::new(Holding::new(Full::new(self.bytes), self.room))
    }
}

/// Why a body is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// There is no room.
    Busy,
    /// It does not come to its end.
    Cut,
}

impl From<Unread> for ErrorResponse {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => too_large(),
            Unread::Busy => busy(),
            Unread::Cut => cut(),
        }
    }
}

impl Bodies {
    /// Each of at most `max` bytes, and those of one address of `each` together.
    pub(crate) fn new(max: usize, each: usize) -> Self {
        Self::within(max, each, ALL)
    }

    /// Reads a body to its end; `from` is counted as its sender.
    ///
    /// # Errors
    ///
    /// 413 if it is longer than it may be, 503 if there is no room, 408 if it does not arrive, 400 if it is cut.
    pub(crate) async fn read(&self, body: Body, from: IpAddr) -> Result<Held, ErrorResponse> {
        match timeout(ARRIVES, self.collect(body, from)).await {
            Ok(held) => Ok(held?),
            Err(_) => Err(ErrorResponse::new(
                StatusCode::REQUEST_TIMEOUT,
                kind::BAD_REQUEST,
                "the request did not arrive in time",
            )),
        }
    }
}

impl<K: Clone + Eq + Hash> Bodies<K> {
    /// Each of at most `max` bytes, those of one holder of `each` together, and all of `total`.
    pub(crate) fn within(max: usize, each: usize, total: usize) -> Self {
        Self { max, room: Quota::new(total.max(max), each.max(max)) }
    }

    /// Reads a body to its end, however long it takes.
    ///
    /// # Errors
    ///
    /// [`Unread`].
    pub(crate) async fn collect(&self, mut body: Body, from: K) -> Result<Held<K>, Unread> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.max {
            return Err(Unread::TooLarge);
        }
        let mut room = self.room.take(from).map_err(|_| Unread::Busy)?;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Unread::Cut)?;
            let Ok(data) = frame.into_data() else { continue };
            let len = bytes.len() + data.len();
            if len > self.max {
                return Err(Unread::TooLarge);
            }
            if len > room.count() {
                // Doubled, so that many small pieces are not counted one by one.
                let wanted = (2 * len).max(UNIT).min(self.max);
                room.add(wanted - room.count()).map_err(|_| Unread::Busy)?;
                bytes.reserve_exact(wanted - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.into(), room })
    }
}

pub(crate) fn too_large() -> ErrorResponse {
    ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, kind::TOO_LARGE, "the request is too large")
}

fn cut() -> ErrorResponse {
    ErrorResponse::new(StatusCode::BAD_REQUEST, kind::BAD_REQUEST, "the request was cut")
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::response::IntoResponse as _;
    use futures_util::stream;
    use hyper::body::{Frame, SizeHint};
    use proptest::prelude::*;

    use super::*;

    fn pieces(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn status(refused: ErrorResponse) -> StatusCode {
        refused.into_response().status()
    }

    /// A body that was announced, and of which nothing comes.
    struct Silent(u64);

    impl hyper::body::Body for Silent {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    proptest! {
        /// However a body is cut, it is read as it is, or refused for its length; and its room is given back.
        #[test]
        fn a_body_is_whole_or_too_long(sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..8)) {
            let bodies = Bodies::new(20_000, 20_000);
            let whole: Vec<u8> = sent.concat();

            let read = run(bodies.read(pieces(sent), from(1)));

            match read {
                Ok(held) => prop_assert_eq!(&held.bytes[..], &whole[..]),
                Err(error) => {
                    prop_assert!(whole.len() > 20_000);
                    prop_assert_eq!(status(error), StatusCode::PAYLOAD_TOO_LARGE);
                }
            }
            prop_assert_eq!(bodies.room.holders(), 0);
        }
    }

    #[test]
    fn all_bodies_together_are_bounded() {
        let bodies = Bodies::new(32 << 20, ALL);
        let read = |last| run(bodies.read(Body::from(vec![0; 30 << 20]), from(last)));
        let held = [read(1).unwrap(), read(2).unwrap()];

        assert_eq!(status(read(3).unwrap_err()), StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        assert!(read(3).is_ok());
    }

    #[test]
    fn one_address_takes_a_share_and_leaves_the_rest_to_others() {
        let bodies = Bodies::new(1 << 20, 4 << 20);
        let read = |last| run(bodies.read(Body::from(vec![0; 1 << 20]), from(last)));
        let held: Vec<_> = (0..4).map(|_| read(1).unwrap()).collect();

        assert_eq!(status(read(1).unwrap_err()), StatusCode::SERVICE_UNAVAILABLE);
        assert!(read(2).is_ok());
        drop(held);
        assert!(read(1).is_ok());
    }

    #[test]
    fn room_is_given_back_once_a_body_was_passed_on() {
        let bodies = Bodies::new(1 << 20, 1 << 20);
        let held = run(bodies.read(Body::from(vec![7; 1000]), from(1))).unwrap();
        let body = held.with(vec![8; 500].into()).into_body();
        assert_eq!(body.size_hint().exact(), Some(500));
        assert_eq!(bodies.room.holders(), 1);
        let sent = run(body.collect()).unwrap().to_bytes();
        assert_eq!((&sent[..], bodies.room.holders()), (&[8; 500][..], 0));
    }

    #[test]
    fn what_is_announced_and_not_sent_takes_no_room() {
        run(async {
            let bodies = Bodies::new(2 << 20, ALL);
            let silent = || Box::pin(bodies.read(Body::new(Silent(2 << 20)), from(1)));
            let mut waiting: Vec<_> = (0..1000).map(|_| silent()).collect();
            for body in &mut waiting {
                let polled = poll_fn(|context| Poll::Ready(body.as_mut().poll(context))).await;
                assert!(polled.is_pending());
            }

            assert!(bodies.read(Body::from(vec![0; 2 << 20]), from(1)).await.is_ok());
        });
    }
}
