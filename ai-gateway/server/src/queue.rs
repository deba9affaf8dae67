//! The queue before each provider: requests that wait until a slot of its backend is free.
//!
//! ```text
//!             enter              call                     drop
//!   request ────────▶ waiting ─────────▶ holds a slot ─────────▶ the slot goes to the next request
//!        │ full: 429, 503 │ too late: 503      │ somebody waits too long without one: preempted
//!        └───────────┬────┘
//!                    └─▶ the queue of the next provider, if the settings name a fallback
//! ```
//!
//! An engine serves its own queue in the order of arrival: twenty requests of one person would all come before anybody
//! else's. So the gateway sends a provider no more requests at a time than it has slots, and lets people take turns
//! ([`scheduler`]). When somebody without a slot has waited for the configured time, the person with the most slots
//! must give one back ([`Ticket::preempted`]). The number of slots comes from the settings, or else from the servers. A
//! fallback that answers instead of a provider gets no more requests than that provider would.

mod entry;
mod scheduler;
mod service_time;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use ai_gateway_api::settings::gateway;
use mesh_identity::Person;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    limits::{Exceeded, Limit},
    metrics::Metrics,
    models::Models,
};

pub(crate) use entry::{Queue, QueueEntry, QueueState, WaitTimeout};
pub(crate) use scheduler::{QueueFull, QueueLimits};

/// `Retry-After` while the duration of replies is unknown, in seconds.
const RETRY_USUAL_S: u64 = 5;
/// Longest `Retry-After`, in seconds: estimates can be wrong, slots become free early, and clients ignore longer times:
/// OpenAI's SDK for TypeScript then retries within seconds (7.57.0, `client.ts`), the one for Python does not retry
/// above 120.
const RETRY_MAX_S: u64 = 60;

/// The queue of each provider.
#[derive(Debug)]
pub(crate) struct Queues {
    by_provider: RwLock<BTreeMap<String, Queue<Person>>>,
    settings: gateway::Queue,
    metrics: Arc<Metrics>,
}

/// A request's place in a queue, then its slot; dropping it gives back either.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket {
    /// `None` if the provider has no queue.
    entry: Option<QueueEntry<Person>>,
    preempted: CancellationToken,
    since: Instant,
    metrics: Arc<Metrics>,
}

impl Queues {
    /// A queue for each provider. Settings for an unknown provider are logged.
    #[must_use]
    pub(crate) fn new(settings: &gateway::Queue, models: &Models, metrics: Arc<Metrics>) -> Self {
        let queues = Self { by_provider: RwLock::default(), settings: settings.clone(), metrics };
        queues.follow(models);
        let known = queues.by_provider();
        for name in settings.providers.keys().filter(|name| !known.contains_key(*name)) {
            tracing::warn!(
                "gateway.toml: line.providers names {name:?}, which is not a provider in openclaw.json"
            );
        }
        drop(known);
        queues
    }

    /// Has a queue for each provider, with as many slots as that has now. Call it after each health check of nodes. A
    /// request in the queue of a provider that is gone keeps its place there.
    pub(crate) fn follow(&self, models: &Models) {
        let providers = models.providers();
        if !self.by_provider().keys().eq(&providers) {
            let mut queues = self.by_provider.write().unwrap_or_else(PoisonError::into_inner);
            queues.retain(|name, _| providers.contains(name));
            for name in providers {
                let slots = slots(&self.settings, &name, models);
                queues.entry(name).or_insert_with(|| Queue::new(self.bounds(slots)));
            }
        }
        for (name, queue) in &*self.by_provider() {
            let slots = slots(&self.settings, name, models);
            if queue.state().slots != slots {
                tracing::info!(provider = name, slots, "the number of concurrent replies changed");
                queue.set_slots(slots);
            }
        }
    }

    fn by_provider(&self) -> RwLockReadGuard<'_, BTreeMap<String, Queue<Person>>> {
        self.by_provider.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn bounds(&self, slots: usize) -> QueueLimits {
        let settings = &self.settings;
        QueueLimits {
            slots,
            waiting: settings.waiting,
            waiting_per_person: settings.waiting_per_person,
            bytes: settings.waiting_bytes,
            bytes_per_person: settings.waiting_bytes_per_person,
            yield_after: Duration::from_secs(settings.yield_seconds.get().into()),
            patience: Duration::from_secs(settings.seconds.into()),
        }
    }

    /// Takes a place for this person's request of so many bytes: in the queue of the first of these providers or, if
    /// that is full for everybody, of the next. Returns the provider's index.
    pub(crate) fn enter<'a>(
        &self,
        providers: impl IntoIterator<Item = &'a str>,
        person: &Person,
        bytes: usize,
    ) -> Result<(usize, Ticket), Exceeded> {
        let mut refused = None;
        for (index, name) in providers.into_iter().enumerate() {
            let Some(queue) = self.by_provider().get(name).cloned() else {
                return Ok((index, self.ticket(None)));
            };
            match queue.enter(person, bytes) {
                Ok(entry) => return Ok((index, self.ticket(Some(entry)))),
                // Another queue would give this person twice the allowed places.
                Err(QueueFull::Person) if refused.is_none() => {
                    self.metrics.refuse_queued("person");
                    let retry_after_s = retry(queue.estimated_wait(|waiting| waiting.people));
                    return Err(Exceeded { limit: Limit::Person, retry_after_s });
                }
                Err(QueueFull::Person | QueueFull::Total) => {
                    let retry_after_s = retry(queue.estimated_wait(|_| 1));
                    refused.get_or_insert(Exceeded { limit: Limit::Total, retry_after_s });
                }
            }
        }
        self.metrics.refuse_queued("total");
        Err(refused.unwrap_or(Exceeded { limit: Limit::Total, retry_after_s: RETRY_USUAL_S }))
    }

    /// Takes a slot that is free for this person now, at the first of these providers that has one; returns the
    /// provider's index. `preempted` is cancelled when the slot must be given back.
    pub(crate) fn take_free<'a>(
        &self,
        providers: impl IntoIterator<Item = &'a str>,
        person: &Person,
        bytes: usize,
        preempted: &CancellationToken,
    ) -> Option<(usize, Ticket)> {
        providers.into_iter().enumerate().find_map(|(index, name)| {
            let entry =
                self.by_provider().get(name)?.take_free(person, bytes, preempted.clone())?;
            Some((index, self.ticket(Some(entry))))
        })
    }

    fn ticket(&self, entry: Option<QueueEntry<Person>>) -> Ticket {
        let preempted = entry.as_ref().map(|entry| entry.preempted().clone()).unwrap_or_default();
        Ticket { entry, preempted, since: Instant::now(), metrics: Arc::clone(&self.metrics) }
    }

    /// Each provider with the current state of its queue.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<(String, QueueState)> {
        self.by_provider().iter().map(|(name, queue)| (name.clone(), queue.state())).collect()
    }
}

impl Ticket {
    /// Waits for the slot; returns `None` once it has it. Before another reply must end for it, and before its time is
    /// over, it calls `alternative` and returns the result, if there is one. Dropping the future keeps the place.
    pub(crate) async fn acquire<T>(
        &mut self,
        alternative: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, Exceeded> {
        let acquired = match &mut self.entry {
            Some(entry) => entry.acquire(alternative).await,
            None => Ok(None),
        };
        self.metrics.waited(self.since.elapsed());
        acquired.map_err(|WaitTimeout| self.exceeded(Limit::WaitTime))
    }

    /// Cancelled when the slot must be given back because others wait for one.
    #[must_use]
    pub(crate) fn preempted(&self) -> &CancellationToken {
        &self.preempted
    }

    /// The error of a request that ended because its slot was preempted.
    #[must_use]
    pub(crate) fn preempted_error(&self) -> Exceeded {
        self.exceeded(Limit::Preempted)
    }

    fn exceeded(&self, limit: Limit) -> Exceeded {
        Exceeded { limit, retry_after_s: self.retry() }
    }

    /// About when everyone who waits now has been served, in seconds.
    fn retry(&self) -> u64 {
        let entry = self.entry.as_ref();
        retry(entry.and_then(|entry| entry.estimated_wait(|waiting| waiting.all)))
    }
}

/// Concurrent replies of a provider: as configured, or else the sum of its nodes' slots.
fn slots(settings: &gateway::Queue, name: &str, models: &Models) -> usize {
    let reported = || models.slots(name, settings.slots.get().into());
    let slots = settings.providers.get(name).map_or_else(reported, |&slots| slots.get().into());
    usize::try_from(slots).unwrap_or(usize::MAX).max(1)
}

/// `Retry-After` in whole seconds, for a slot that becomes free after about this time.
fn retry(estimated_wait: Option<Duration>) -> u64 {
    let seconds =
        |estimated_wait: Duration| estimated_wait.as_secs().saturating_add(1).min(RETRY_MAX_S);
    estimated_wait.map_or(RETRY_USUAL_S, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_bounded_and_never_zero() {
        let after = |ms| retry(Some(Duration::from_millis(ms)));
        assert_eq!((after(0), after(1), after(7999), after(8000)), (1, 1, 8, 9));
        assert_eq!((after(u64::MAX), retry(Some(Duration::MAX))), (60, 60));
        assert_eq!(retry(None), 5, "no estimate yet");
    }
}
