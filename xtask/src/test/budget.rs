//! How many of the tests fit into the time that a CI run has.
//!
//! All of them, on a machine as it should be. On one that is too slow a part of them runs, chosen by the commit, and the
//! stages that no longer fit are left to a later commit: a run that is cut at its limit says nothing at all.

use std::time::{Duration, Instant, SystemTime};

/// The time of a run, from the start of `.ci/run`: its limit is 90 minutes.
const LIMIT: Duration = Duration::from_mins(84);
/// Names the second, since 1970, at which `.ci/run` started. Without it time is not limited.
const STARTED: &str = "MARU_CI_STARTED";
/// How long the tests take, with what is compiled beside them, as a multiple of the time of the build.
const TESTS: f64 = 1.5;
/// The same of all stages after the tests.
const REST: f64 = 0.55;
/// The fewest tests that run are one in so many.
const PARTS_MAX: u32 = 6;

/// The time that a run has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// `None`: as long as it takes.
    end: Option<Instant>,
    /// How long the build took.
    build: Duration,
}

/// A part of the tests: the `which`-th of `parts`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) which: u32,
    pub(super) parts: u32,
}

impl Budget {
    /// From the environment.
    pub(super) fn of_run() -> Self {
        let started = std::env::var(STARTED).ok().and_then(|text| text.parse().ok());
        let end = started.map(|started| {
            let since = SystemTime::UNIX_EPOCH + Duration::from_secs(started);
            let gone = SystemTime::now().duration_since(since).unwrap_or_default();
            Instant::now() + LIMIT.saturating_sub(gone)
        });
        Self { end, build: Duration::ZERO }
    }

    /// Once everything is built, which tells how fast the machine is.
    pub(super) fn built_in(self, build: Duration) -> Self {
        Self { build, ..self }
    }

    fn left(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Which part of the tests fits; `None`: all of them. `turn` is a number of the commit.
    pub(super) fn part(&self, turn: usize) -> Option<Part> {
        let parts = parts(self.build, self.left()?);
        let which = u32::try_from(turn).unwrap_or(0) % parts + 1;
        (parts > 1).then_some(Part { which, parts })
    }

    /// Whether a stage fits that usually takes this multiple of the time of the build.
    pub(super) fn has_room_for(&self, share: f64) -> bool {
        self.left().is_none_or(|left| self.build.mul_f64(share) <= left)
    }
}

/// Into how many parts the tests must be divided for one to fit.
fn parts(build: Duration, left: Duration) -> u32 {
    let room = left.saturating_sub(build.mul_f64(REST)).as_secs_f64();
    let whole = build.mul_f64(TESTS).as_secs_f64();
    (1..PARTS_MAX).find(|&parts| whole / f64::from(parts) <= room).unwrap_or(PARTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn a_machine_as_it_should_be_runs_everything() {
        assert_eq!(parts(minutes(20), minutes(62)), 1);
        let unlimited = Budget { end: None, build: minutes(60) };
        assert_eq!(unlimited.part(7), None);
        assert!(unlimited.has_room_for(9.0));
    }

    #[test]
    fn a_slow_machine_runs_the_part_that_fits_and_each_part_has_its_turn() {
        assert_eq!(parts(minutes(30), minutes(50)), 2);
        assert_eq!(parts(minutes(45), minutes(36)), PARTS_MAX);
        let end = Instant::now().checked_add(minutes(50));
        let slow = Budget { end, build: minutes(30) };
        assert_eq!(slow.part(4), Some(Part { which: 1, parts: 2 }));
        assert_eq!(slow.part(5), Some(Part { which: 2, parts: 2 }));
        assert!(slow.has_room_for(1.0) && !slow.has_room_for(2.0));
    }

    #[test]
    fn a_run_without_time_still_runs_some_tests() {
        let none = Budget { end: Some(Instant::now()), build: minutes(80) };
        assert_eq!(none.part(0), Some(Part { which: 1, parts: PARTS_MAX }));
        assert!(!none.has_room_for(0.01));
    }
}
