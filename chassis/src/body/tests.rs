use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;

use super::*;

const ALL: usize = 64 << 20;
const ARRIVES: Duration = Duration::from_secs(30);

fn pieces(pieces: Vec<Vec<u8>>) -> Body {
    Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn from(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// A body that was announced, and of which nothing comes.
struct Silent(u64);

impl HttpBody for Silent {
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
        let bodies = BodyReader::new(20_000, 20_000, ALL);
        let whole: Vec<u8> = sent.concat();

        let read = run(bodies.read(pieces(sent), from(1), ARRIVES));

        match read {
            Ok(held) => prop_assert_eq!(&held.bytes()[..], &whole[..]),
            Err(error) => {
                prop_assert!(whole.len() > 20_000);
                prop_assert_eq!(error, BodyError::TooLarge);
            }
        }
        prop_assert_eq!(bodies.holders(), 0);
    }
}

#[test]
fn all_bodies_together_are_bounded() {
    let bodies = BodyReader::new(32 << 20, ALL, ALL);
    let read = |last| run(bodies.read(Body::from(vec![0; 30 << 20]), from(last), ARRIVES));
    let held = [read(1).unwrap(), read(2).unwrap()];

    assert_eq!(read(3).unwrap_err(), BodyError::NoMemory);
    drop(held);
    assert!(read(3).is_ok());
}

#[test]
fn one_address_takes_a_share_and_leaves_the_rest_to_others() {
    let bodies = BodyReader::new(1 << 20, 4 << 20, ALL);
    let read = |last| run(bodies.read(Body::from(vec![0; 1 << 20]), from(last), ARRIVES));
    let held: Vec<_> = (0..4).map(|_| read(1).unwrap()).collect();

    assert_eq!(read(1).unwrap_err(), BodyError::NoMemory);
    assert!(read(2).is_ok());
    drop(held);
    assert!(read(1).is_ok());
}

#[test]
fn room_is_given_back_once_a_body_was_passed_on() {
    let bodies = BodyReader::new(1 << 20, 1 << 20, ALL);
    let held = run(bodies.read(Body::from(vec![7; 1000]), from(1), ARRIVES)).unwrap();
    let body = held.with(vec![8; 500].into()).into_body();
    assert_eq!(body.size_hint().exact(), Some(500));
    assert_eq!(bodies.holders(), 1);
    let sent = run(super::whole(body, 1000, ARRIVES)).unwrap();
    assert_eq!((&sent[..], bodies.holders()), (&[8; 500][..], 0));
}

#[test]
fn what_is_announced_and_not_sent_takes_no_room() {
    run(async {
        let bodies = BodyReader::new(2 << 20, ALL, ALL);
        let silent = || Box::pin(bodies.read(Body::new(Silent(2 << 20)), from(1), ARRIVES));
        let mut waiting: Vec<_> = (0..1000).map(|_| silent()).collect();
        for body in &mut waiting {
            let polled = poll_fn(|context| Poll::Ready(body.as_mut().poll(context))).await;
            assert!(polled.is_pending());
        }

        assert!(bodies.read(Body::from(vec![0; 2 << 20]), from(1), ARRIVES).await.is_ok());
    });
}

/// One-byte pieces without end, each there at once.
fn endless() -> Body {
    Body::from_stream(stream::repeat(b"x".to_vec()).map(Ok::<_, std::io::Error>))
}

#[test]
fn a_body_without_end_is_too_large_and_holds_nothing() {
    let bodies = BodyReader::new(50_000, 50_000, ALL);
    assert_eq!(run(bodies.read(endless(), from(1), ARRIVES)).unwrap_err(), BodyError::TooLarge);
    assert_eq!(bodies.holders(), 0);
}

#[test]
fn a_body_that_stops_or_never_stops_is_late_and_holds_nothing() {
    let bodies = BodyReader::new(16 << 20, 16 << 20, ALL);
    let soon = Duration::from_millis(1);
    for body in [Body::new(Silent(10)), endless()] {
        assert_eq!(run(bodies.read(body, from(1), soon)).unwrap_err(), BodyError::Timeout);
    }
    assert_eq!(bodies.holders(), 0);
}

#[test]
fn who_always_has_more_to_send_is_late() {
    run(async {
        let mut timed = with_deadline(Body::from("it is all there"), Duration::ZERO);
        sleep(Duration::from_millis(5)).await;
        let late = frame(&mut timed).await.unwrap().unwrap_err();
        assert!(late.into_inner().is::<DeadlinePassed>());
        // Also through the bodies that others put around it.
        let around = with_deadline(Body::from("it is all there"), Duration::ZERO);
        sleep(Duration::from_millis(5)).await;
        assert_eq!(whole(Body::new(around), 100, ARRIVES).await, Err(BodyError::Timeout));
    });
}

/// What a piece takes that still lives.
struct Piece {
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        b"x"
    }
}

#[test]
fn a_body_in_one_byte_chunks_takes_its_length_and_keeps_no_chunk() {
    const LEN: usize = 100_000;
    let alive = Arc::new(());
    let most = Arc::new(AtomicUsize::new(0));
    let (of_pieces, seen) = (alive.clone(), most.clone());
    let pieces = stream::iter(0..LEN).map(move |_| {
        seen.fetch_max(Arc::strong_count(&of_pieces), Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_owner(Piece { _alive: of_pieces.clone() }))
    });
    let bodies = BodyReader::new(LEN, LEN, LEN);

    let held = run(bodies.read(Body::from_stream(pieces), from(1), ARRIVES)).unwrap();

    assert_eq!((held.bytes().len(), held.room()), (LEN, LEN));
    assert!(most.load(Ordering::Relaxed) <= 4, "chunks are kept");
}
