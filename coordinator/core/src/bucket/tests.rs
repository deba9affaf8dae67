#![allow(clippy::disallowed_methods, reason = "an instant to count from")]

use proptest::prelude::*;

use super::*;

const SIZE: Size = Size { tokens: 10, period: Duration::from_secs(10) };

#[test]
fn ten_at_once_then_one_in_ten_seconds() {
    let (mut bucket, start) = (Bucket::default(), Instant::now());
    let seconds = |seconds| start + Duration::from_secs(seconds);

    for _ in 0..10 {
        bucket.take(SIZE, start).unwrap();
    }

    assert_eq!(bucket.take(SIZE, start), Err(SIZE.period));
    assert_eq!(bucket.take(SIZE, seconds(9)), Err(Duration::from_secs(1)));
    bucket.take(SIZE, seconds(10)).unwrap();
    assert_eq!(bucket.take(SIZE, seconds(10)), Err(SIZE.period));
    assert!(!bucket.is_full(seconds(109)) && bucket.is_full(seconds(110)));
    for _ in 0..10 {
        bucket.take(SIZE, seconds(1000)).unwrap();
    }
    assert!(bucket.take(SIZE, seconds(1000)).is_err(), "no more than ten are ever there");
}

proptest! {
    /// Whenever and however often somebody asks.
    #[test]
    fn nobody_gets_more_than_the_size_allows(pauses in prop::collection::vec(0_u64..60_000, 1..200)) {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let mut presented = Vec::new();
        let mut now = start;
        for pause in pauses {
            now += Duration::from_millis(pause);
            match bucket.take(SIZE, now) {
                Ok(()) => presented.push(now),
                Err(wait) => {
                    prop_assert!(!wait.is_zero() && wait <= SIZE.period);
                    prop_assert!(bucket.wait(SIZE, now + wait).is_zero(), "the wait is the whole wait");
                }
            }
        }
        for (first, from) in presented.iter().enumerate() {
            for (more, to) in presented[first..].iter().enumerate() {
                let allowed = 10 + (*to - *from).as_secs() / 10;
                prop_assert!(u64::try_from(more).unwrap() < allowed);
            }
        }
    }
}
