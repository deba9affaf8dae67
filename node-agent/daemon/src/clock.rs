//! Time since boot, and the coordinator's time of day.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use messages::{Message, message};
use rustix::time::{ClockId, clock_gettime};

/// A smaller difference between the clocks is not worth a word.
const TOLERANCE: Duration = Duration::from_secs(10 * 60);

/// Time since the machine was started, sleep included.
pub(crate) fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time of day by the coordinator: what it said, and the time since then. Setting this machine's clock does not change it.
#[derive(Debug, Default)]
pub(crate) struct CoordinatorClock(Mutex<Option<(SystemTime, Duration)>>);

impl CoordinatorClock {
    /// Records what the coordinator said now.
    pub(crate) fn set(&self, time: SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, since_boot()));
    }

    /// The time by the coordinator; `None` if it has said none since the start.
    fn read(&self) -> Option<SystemTime> {
        let (time, at) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        time.checked_add(since_boot().saturating_sub(at))
    }

    /// The time by the coordinator, else by this machine's clock.
    pub(crate) fn now(&self) -> SystemTime {
        self.read().unwrap_or_else(SystemTime::now)
    }

    /// Says that `local`, this machine's time of day, is wrong.
    pub(crate) fn difference(&self, local: SystemTime) -> Option<Message> {
        let time = self.read()?;
        let is_large = |difference: &Duration| *difference >= TOLERANCE;
        let minutes = |difference: Duration| difference.as_secs() / 60;
        if let Some(ahead) = local.duration_since(time).ok().filter(is_large) {
            return Some(message!("problem-agent-clock-ahead", minutes = minutes(ahead)));
        }
        let behind = time.duration_since(local).ok().filter(is_large)?;
        Some(message!("problem-agent-clock-behind", minutes = minutes(behind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_a_day_ahead_or_back_is_named_and_not_believed() {
        let (clock, day) = (CoordinatorClock::default(), Duration::from_secs(86_400));
        let now = SystemTime::now();
        assert!(clock.difference(now + day).is_none(), "nobody knows better");

        clock.set(now);
        let said = |local| clock.difference(local).map(|message| message.to_string());
        assert_eq!(said(now + TOLERANCE / 2), None);
        assert!(said(now + day).is_some_and(|text| text.contains("minutes ahead")));
        assert!(said(now - day).is_some_and(|text| text.contains("minutes behind")));

        clock.set(now - day);
        assert!(clock.now() < now - day / 2);
    }
}
