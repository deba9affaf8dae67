//! The line before each provider: replies that wait until a slot of its backend is free.
//!
//! ```text
//!             enter                 turn                     drop
//!   request ────────▶ waiting line ───────▶ slot (the model ──────▶ the next whose turn it is
//!        │ full: 429, 503   │ too late: 503   is asked)  │ somebody waits too long without one: the reply ends
//!        └───────────┬──────┘
//!                    └─▶ the line of the next provider, where the settings name a fallback
//! ```
//!
//! An engine serves its own line first come, first served: who asked it twenty times would be served twenty times
//! before anybody else. So the gateway gives a provider no more at a time than it has slots for, and lets people take
//! turns before it ([`turns`]). Whoever holds most is told to give one back when somebody without one has waited for as long
//! as the settings say ([`Ticket::ends`]). How many slots there are the settings say, or the servers themselves. Where a fallback
//! answers in a provider's stead, it is given no more than that provider would have been.

mod pace;
mod place;
mod turns;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ai_gateway_api::settings::gateway;
use mesh_identity::Person;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{limits::Exceeded, metrics::Metrics, models::Models};

pub use place::{InLine, Late, Line, Place, Waiting};
pub use turns::{Bounds, Full};

/// What a request is told to wait while nobody knows how long replies take, in seconds.
const RETRY_USUAL_S: u64 = 5;
/// Longest that it is told, in seconds: estimates err, slots become free early, and clients leave longer ones aside: OpenAI's
/// SDK for TypeScript then asks again within seconds (7.57.0, `client.ts`), the one for Python not at all above 120.
const RETRY_MAX_S: u64 = 60;

/// The line of each provider.
#[derive(Debug)]
pub struct Lines {
    by_provider: BTreeMap<String, Line<Person>>,
    settings: gateway::Line,
    metrics: Arc<Metrics>,
}

/// A reply's place in a line, then its slot; dropping it gives back either.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    /// None where there is no line to wait in.
    place: Option<Place<Person>>,
    ends: CancellationToken,
    since: Instant,
    metrics: Arc<Metrics>,
}

impl Lines {
    /// A line for each provider. Settings for a provider that there is not are said in the log.
    #[must_use]
    pub fn new(settings: &gateway::Line, models: &Models, metrics: Arc<Metrics>) -> Self {
        let line = |name: &str| {
            let bounds = Bounds {
                slots: slots(settings, name, models),
                waiting: settings.waiting,
                waiting_per_person: settings.waiting_per_person,
                bytes: settings.waiting_bytes,
                bytes_per_person: settings.waiting_bytes_per_person,
                yield_after: Duration::from_secs(settings.yield_seconds.get().into()),
                patience: Duration::from_secs(settings.seconds.into()),
            };
            (name.to_owned(), Line::new(bounds))
        };
        let by_provider: BTreeMap<_, _> = models.providers().map(line).collect();
        for name in settings.providers.keys().filter(|name| !by_provider.contains_key(*name)) {
            tracing::warn!(
                "gateway.toml: line.providers names {name:?}, which is no provider of openclaw.json"
            );
        }
        Self { by_provider, settings: settings.clone(), metrics }
    }

    /// Gives each line as many slots as its provider has by now. Call it whenever nodes said how they are.
    pub fn follow(&self, models: &Models) {
        for (name, line) in &self.by_provider {
            let slots = slots(&self.settings, name, models);
            if line.state().slots != slots {
                tracing::info!(provider = name, slots, "so many replies at a time");
                line.set_slots(slots);
            }
        }
    }

    /// Takes a place for a request of this person's that has so many bytes: in the line of the first of these providers, or,
    /// where that is full for everybody, of the next. Returns that provider's index.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Person`] if this person waits often enough, [`Exceeded::Total`] if each line is full.
    pub fn enter<'a>(
        &self,
        providers: impl IntoIterator<Item = &'a str>,
        person: &Person,
        bytes: usize,
    ) -> Result<(usize, Ticket), Exceeded> {
        let mut refused = None;
        for (index, name) in providers.into_iter().enumerate() {
            let Some(line) = self.by_provider.get(name) else {
                return Ok((index, self.ticket(None)));
            };
            match line.enter(person, bytes) {
                Ok(place) => return Ok((index, self.ticket(Some(place)))),
                // Another line would give this person twice as much as one may have.
                Err(Full::Person) if refused.is_none() => {
                    self.metrics.refuse_line("person");
                    return Err(Exceeded::Person {
                        retry_after_s: retry(line.takes(|waiting| waiting.people)),
                    });
                }
                Err(Full::Person | Full::Total) => {
                    let retry_after_s = retry(line.takes(|_| 1));
                    refused.get_or_insert(Exceeded::Total { retry_after_s });
                }
            }
        }
        self.metrics.refuse_line("total");
        Err(refused.unwrap_or(Exceeded::Total { retry_after_s: RETRY_USUAL_S }))
    }

    /// Takes a slot that is free for this person now, at the first of these providers that has one; returns that provider's
    /// index. By `ends` it is told when it has to be given back.
    pub fn take_free<'a>(
        &self,
        providers: impl IntoIterator<Item = &'a str>,
        person: &Person,
        bytes: usize,
        ends: &CancellationToken,
    ) -> Option<(usize, Ticket)> {
        providers.into_iter().enumerate().find_map(|(index, name)| {
            let place = self.by_provider.get(name)?.take_free(person, bytes, ends.clone())?;
            Some((index, self.ticket(Some(place))))
        })
    }

    fn ticket(&self, place: Option<Place<Person>>) -> Ticket {
        let ends = place.as_ref().map(|place| place.ends().clone()).unwrap_or_default();
        Ticket { place, ends, since: Instant::now(), metrics: Arc::clone(&self.metrics) }
    }

    /// Each provider with its line as it is now.
    #[must_use]
    pub fn state(&self) -> Vec<(String, InLine)> {
        self.by_provider.iter().map(|(name, line)| (name.clone(), line.state())).collect()
    }
}

impl Ticket {
    /// Waits for the slot; `None` once it has it. Before a reply has to end for it, and before it is too late, it looks for
    /// something `instead`, which is returned. Dropping the future keeps the place.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Late`]; then drop the ticket.
    pub async fn turn<T>(
        &mut self,
        instead: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, Exceeded> {
        let turn = match &mut self.place {
            Some(place) => place.turn(instead).await,
            None => Ok(None),
        };
        self.metrics.waited(self.since.elapsed());
        turn.map_err(|Late| Exceeded::Late { retry_after_s: self.retry() })
    }

    /// Tells when the slot has to be given back, because others wait for one.
    #[must_use]
    pub fn ends(&self) -> &CancellationToken {
        &self.ends
    }

    /// What whoever gave the slot back too early is told.
    #[must_use]
    pub fn yielded(&self) -> Exceeded {
        Exceeded::Yielded { retry_after_s: self.retry() }
    }

    /// When those who wait now have had their turns, about, in seconds.
    fn retry(&self) -> u64 {
        let place = self.place.as_ref();
        retry(place.and_then(|place| place.takes(|waiting| waiting.all)))
    }
}

/// Replies under way at a time at a provider: what the settings say of it, or else what its nodes have together.
fn slots(settings: &gateway::Line, name: &str, models: &Models) -> usize {
    let told = || models.slots(name, settings.slots.get().into());
    let slots = settings.providers.get(name).map_or_else(told, |&slots| slots.get().into());
    usize::try_from(slots).unwrap_or(usize::MAX).max(1)
}

/// What a request is told to wait, in whole seconds, where a slot becomes free after about so long.
fn retry(takes: Option<Duration>) -> u64 {
    let seconds = |takes: Duration| takes.as_secs().saturating_add(1).min(RETRY_MAX_S);
    takes.map_or(RETRY_USUAL_S, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_is_told_to_wait_is_bounded_and_never_nothing() {
        let told = |ms| retry(Some(Duration::from_millis(ms)));
        assert_eq!((told(0), told(1), told(7999), told(8000)), (1, 1, 8, 9));
        assert_eq!((told(u64::MAX), retry(Some(Duration::MAX))), (60, 60));
        assert_eq!(retry(None), 5, "nobody knows yet");
    }
}
