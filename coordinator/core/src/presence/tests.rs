#![allow(clippy::disallowed_methods, reason = "an instant to count from")]

use proptest::prelude::*;

use super::*;
use crate::bucket::{Buckets, Size};

const SIZE: Size = Size { tokens: 3, period: Duration::from_secs(10) };

fn nothing_to_pay(_: NodeId) -> Result<(), Duration> {
    Ok(())
}

#[test]
fn a_node_that_comes_back_within_the_grace_time_never_left() {
    let (mut presences, start) = (Presences::new(GRACE), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    presences.connect(1, start);
    assert_eq!(presences.handle_timeout(start, nothing_to_pay), Some(BTreeSet::new()), "it came");

    presences.disconnect(1, at(1));
    presences.connect(1, at(9));
    assert_eq!(presences.poll_timeout(), None);
    assert_eq!(presences.handle_timeout(at(20), nothing_to_pay), None);

    presences.disconnect(1, at(30));
    assert_eq!(presences.handle_timeout(at(39), nothing_to_pay), None);
    assert!(presences.reported().eq([1]) && presences.is_here(1));
    assert_eq!(presences.poll_timeout(), Some(at(40)));
    assert_eq!(presences.handle_timeout(at(40), nothing_to_pay), Some([1].into()));
    assert!(presences.reported().next().is_none() && !presences.is_here(1));
}

#[test]
fn who_left_before_it_was_told_of_is_forgotten() {
    let (mut presences, start) = (Presences::new(GRACE), Instant::now());
    presences.connect(1, start);
    presences.disconnect(1, start);

    assert_eq!(presences.handle_timeout(start, nothing_to_pay), None);

    assert!(!presences.is_here(1) && presences.poll_timeout().is_none());
}

proptest! {
    /// However it comes and goes, also without a grace time, a node causes no more changes than its bucket allows, and what is told is right in the
    /// end.
    #[test]
    fn changes_are_bounded_and_the_last_state_is_told(
        steps in prop::collection::vec((any::<bool>(), 0_u64..15_000), 1..300),
    ) {
        let (mut presences, mut buckets) = (Presences::new(Duration::ZERO), Buckets::new(SIZE));
        let start = Instant::now();
        let (mut now, mut changes, mut is_connected) = (start, 0_u128, false);
        let mut tick = |presences: &mut Presences, now| {
            let changed = presences.handle_timeout(now, |id| buckets.take(id, now)).is_some();
            u128::from(changed)
        };
        for (connects, pause) in steps {
            if connects { presences.connect(1, now) } else { presences.disconnect(1, now) }
            is_connected = connects;
            changes += tick(&mut presences, now);
            now += Duration::from_millis(pause);
            changes += tick(&mut presences, now);
        }
        let allowed = u128::from(SIZE.tokens) + (now - start).as_millis() / SIZE.period.as_millis();
        prop_assert!(changes <= 2 * allowed, "{changes} of {allowed} times on and off");

        while let Some(due) = presences.poll_timeout() {
            now = now.max(due);
            tick(&mut presences, now);
        }
        prop_assert_eq!(presences.reported().any(|id| id == 1), is_connected);
        prop_assert_eq!(presences.is_here(1), is_connected);
    }
}
