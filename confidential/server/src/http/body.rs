//! Bodies that are held as a whole: each is bounded, and so is what all of them take together.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use bytes::{Bytes, BytesMut};
use chassis::problem::ErrorResponse;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{busy, kind};

/// Longest time that a body may take to arrive.
const ARRIVES: Duration = Duration::from_secs(30);
/// What all bodies together may take, in bytes.
const ALL: usize = 64 << 20;
/// What is counted at once, in bytes.
const UNIT: usize = 4096;

/// Reads bodies.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    max: usize,
    room: Arc<Semaphore>,
}

/// A body that is held, and its share of the room.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Bodies {
    /// Each of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, room: Arc::new(Semaphore::new(ALL.max(max).div_ceil(UNIT))) }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    ///
    /// 413 if it is longer than it may be, 503 if there is no room, 408 if it does not arrive, 400 if it is cut.
    pub(crate) async fn read(&self, body: Body) -> Result<Held, ErrorResponse> {
        timeout(ARRIVES, self.collect(body)).await.unwrap_or_else(|_| {
            Err(ErrorResponse::new(
                StatusCode::REQUEST_TIMEOUT,
                kind::BAD_REQUEST,
                "the request did not arrive in time",
            ))
        })
    }

    async fn collect(&self, mut body: Body) -> Result<Held, ErrorResponse> {
        let hint = body.size_hint();
        let announced = usize::try_from(hint.exact().unwrap_or(hint.lower())).unwrap_or(usize::MAX);
        if announced > self.max {
            return Err(too_large());
        }
        let mut room = self.room(announced)?;
        let mut bytes = BytesMut::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| cut())?;
            let Ok(data) = frame.into_data() else { continue };
            let len = bytes.len() + data.len();
            if len > self.max {
                return Err(too_large());
            }
            if len.div_ceil(UNIT) > room.num_permits() {
                // Doubled, so that many small pieces are not counted one by one.
                let more = (2 * len).min(self.max) - room.num_permits() * UNIT;
                room.merge(self.room(more)?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.freeze(), _room: room })
    }

    fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ErrorResponse> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| too_large())?;
        Arc::clone(&self.room).try_acquire_many_owned(units).map_err(|_| busy())
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
    use axum::response::IntoResponse as _;
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    fn pieces(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    proptest! {
        /// However a body is cut, it is read as it is, or refused for its length; and its room is given back.
        #[test]
        fn a_body_is_whole_or_too_long(sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..8)) {
            let bodies = Bodies::new(20_000);
            let whole: Vec<u8> = sent.concat();
            let free = bodies.room.available_permits();

            let read = run(bodies.read(pieces(sent)));

            match read {
                Ok(held) => prop_assert_eq!(&held.bytes[..], &whole[..]),
                Err(error) => {
                    prop_assert!(whole.len() > 20_000);
                    prop_assert_eq!(error.into_response().status(), StatusCode::PAYLOAD_TOO_LARGE);
                }
            }
            prop_assert_eq!(bodies.room.available_permits(), free);
        }
    }

    #[test]
    fn all_bodies_together_are_bounded() {
        let bodies = Bodies::new(32 << 20);
        let large = || Body::from(vec![0; 30 << 20]);
        let held = [run(bodies.read(large())).unwrap(), run(bodies.read(large())).unwrap()];

        let refused = run(bodies.read(large())).unwrap_err();

        assert_eq!(refused.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        assert!(run(bodies.read(large())).is_ok());
    }
}
