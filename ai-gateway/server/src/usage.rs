//! Usage of each person by day: requests and tokens, without text or model.
//!
//! Sealed chats count, too. These counts, read before and after a sealed chat, reveal its length, which the padding
//! hides. So only the superuser can read them ([`routes::metrics`](crate::routes::metrics)), and they are stored in a
//! file of the gateway's own.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use ai_gateway_api::usage::{OTHERS, ROOMS, Report, Tally};
use chassis::state::{Format, StateError};
use chat_vocabulary::Usage;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use mesh_identity::Person;

use crate::changes::Changes;

/// Name of the file in the gateway's state.
pub(crate) const FILE: &str = "usage.json";
/// Most people counted separately in one day; further people are counted together.
const PEOPLE_MAX: usize = 256;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const FORMAT: Format<Report> =
    Format::new(1).remedy(|| "move it away; the gateway then starts counting from zero".into());

/// Everyone's usage of the stored days.
#[derive(Debug)]
pub(crate) struct Ledger {
    changes: Changes,
    /// Number of stored days, including today.
    days: u16,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    report: Report,
    /// Whether the file is out of date.
    changed: bool,
}

impl Ledger {
    /// Loads the stored counts. With `days` 0 nothing is stored or counted.
    pub(crate) fn load(path: PathBuf, days: u16) -> Result<Self, StateError> {
        let report = FORMAT.read(&path)?.unwrap_or_default();
        let changes = Changes::new(path);
        Ok(Self { changes, days, state: Mutex::new(State { report, changed: false }) })
    }

    /// Adds a person's usage.
    pub(crate) fn count(&self, person: &Person, used: Tally, now: SystemTime) {
        if self.days == 0 {
            return;
        }
        let mut state = self.lock();
        let people = state.report.days.entry(day(now)).or_default();
        // Nothing of a single room is stored.
        let name = match person {
            Person::Room(_) => ROOMS.to_owned(),
            Person::User(_) | Person::Node(_) | Person::App(_) => person.to_string(),
        };
        let known = people.contains_key(&name) || people.len() < PEOPLE_MAX;
        let name = if known { name } else { OTHERS.to_owned() };
        people.entry(name).or_default().add(used);
        state.changed = true;
        self.forget(&mut state, now);
    }

    /// The stored counts.
    #[must_use]
    pub(crate) fn report(&self, now: SystemTime) -> Report {
        let mut state = self.lock();
        self.forget(&mut state, now);
        state.report.clone()
    }

    /// Removes a person's counts, on the disk too; returns on how many days there were some.
    pub(crate) fn forget_person(
        &self,
        person: &Person,
        now: SystemTime,
    ) -> Result<u64, StateError> {
        let name = person.to_string();
        let mut days = 0;
        {
            let mut state = self.lock();
            for people in state.report.days.values_mut() {
                days += u64::from(people.remove(&name).is_some());
            }
            state.changed |= days > 0;
        }
        self.store(now)?;
        Ok(days)
    }

    /// Writes the file if something changed. Call it each minute and before the process ends.
    pub(crate) fn keep(&self, now: SystemTime) {
        if let Err(error) = self.store(now) {
            tracing::error!(error = &error as &dyn std::error::Error, "usage could not be stored");
        }
    }

    fn store(&self, now: SystemTime) -> Result<(), StateError> {
        let change = self.changes.begin();
        let report = {
            let mut state = self.lock();
            self.forget(&mut state, now);
            if !std::mem::take(&mut state.changed) {
                return Ok(());
            }
            state.report.clone()
        };
        change.write(&FORMAT, &report).inspect_err(|_| self.lock().changed = true)
    }

    /// Removes days that are too old, and the oldest if there are too many: the clock may have been wrong.
    fn forget(&self, state: &mut State, now: SystemTime) {
        let before = state.report.days.len();
        let ago = DAY * u32::from(self.days.saturating_sub(1));
        let oldest = now.checked_sub(ago).map(day).unwrap_or_default();
        state.report.days.retain(|day, _| *day >= oldest);
        while state.report.days.len() > usize::from(self.days) {
            state.report.days.pop_first();
        }
        state.changed |= state.report.days.len() < before;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a person to a model; counted when dropped, however it ended.
#[derive(Debug)]
pub(crate) struct UsageGuard {
    ledger: Arc<Ledger>,
    person: Person,
    pieces: u64,
    /// The model's own counts.
    counted: Option<Usage>,
}

impl UsageGuard {
    /// For a request that is about to be sent.
    #[must_use]
    pub(crate) fn open(ledger: Arc<Ledger>, person: Person) -> Self {
        Self { ledger, person, pieces: 0, counted: None }
    }

    /// Records a piece of the reply.
    pub(crate) fn count_piece(&mut self) {
        self.pieces += 1;
    }

    /// Records the model's own counts.
    pub(crate) fn set_counted(&mut self, usage: Usage) {
        self.counted = Some(usage);
    }
}

impl Drop for UsageGuard {
    fn drop(&mut self) {
        let (prompt_tokens, reply_tokens) = match self.counted {
            Some(usage) => (usage.prompt_tokens.into(), usage.completion_tokens.into()),
            None => (0, self.pieces),
        };
        let used = Tally { requests: 1, prompt_tokens, reply_tokens };
        self.ledger.count(&self.person, used, SystemTime::now());
    }
}

/// The day in UTC, `2026-11-22`.
pub(crate) fn day(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    utc(since.as_secs()).strftime("%Y-%m-%d").to_string()
}

/// Seconds since 1970 as a time in UTC, at most the end of the year 9999.
pub(crate) fn utc(seconds: u64) -> DateTime {
    let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or(DateTime::MAX, |at| TimeZone::UTC.to_datetime(at))
}

#[cfg(test)]
mod tests;
