//! Limits the rate of each caller's requests. [`queue`](crate::queue) limits how many replies a person may have at a
//! time.
//!
//! The rates stop floods, not people: a chat program sends several requests at once (reply, title, tags, follow-ups),
//! and an editor's completions start three requests a second and cancel as many.
//!
//! On the agent's listener the identity header can be trusted, so each request is counted against its person and
//! address. On telmeet's listener it is a claim, which is counted apart: one member cannot exhaust the listener, and
//! false claims affect only telmeet. Such a request is counted against the person once it is opened, which proves the
//! sender.

use std::{hash::Hash, net::IpAddr};

use ai_gateway_api::settings::gateway::Limits;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use mesh_identity::{Header, Person};

/// Rates by key.
pub(crate) type Keyed<K, C> =
    RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Keys and lists may be read this many times as often as chats are started.
const READS: u32 = 10;
/// Most people that telmeet may name in a minute.
const MAX_CLAIMED: usize = 4096;
/// How often idle callers are removed, in seconds.
const FORGOTTEN_AFTER_S: u64 = 60;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It starts a chat, or changes something.
    Write,
    /// It reads keys or a list.
    Read,
}

/// A request exceeded a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which limit.
    pub limit: Limit,
    /// When to send the request again, in seconds. For the limits of the queue it is an estimate.
    pub retry_after_s: u64,
}

/// A limit that a request may exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests of this caller in a minute.
    Rate,
    /// Requests of this person in the queue.
    Person,
    /// Requests in the queue.
    Total,
    /// The time that a request may wait for a slot.
    WaitTime,
    /// The slot was given to a person who had waited too long without one, before the model had begun to answer.
    Preempted,
}

/// Rates by person and by address.
#[derive(Debug)]
pub(crate) struct Limiter<C: Clock = DefaultClock> {
    rates: [Rates<C>; 2],
    clock: C,
}

#[derive(Debug)]
struct Rates<C: Clock> {
    people: Keyed<Person, C>,
    addresses: Keyed<IpAddr, C>,
    /// By telmeet's claims.
    claimed: Keyed<Person, C>,
}

impl Limiter {
    /// A limiter with these limits.
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// The same with a given clock.
    #[must_use]
    fn with_clock(limits: &Limits, clock: C) -> Self {
        let quota = |times| quota(limits, times);
        let rates = |times| Rates {
            people: RateLimiter::dashmap_with_clock(quota(times), clock.clone()),
            addresses: RateLimiter::dashmap_with_clock(quota(times), clock.clone()),
            claimed: RateLimiter::dashmap_with_clock(quota(times), clock.clone()),
        };
        Self { rates: [rates(1), rates(READS)], clock }
    }

    /// Counts a request of a caller that the agent identified.
    pub(crate) fn count(&self, caller: &Header, kind: Kind) -> Result<(), Exceeded> {
        let rates = self.rates(kind);
        take(&rates.people, &caller.identity.person(), &self.clock)?;
        take(&rates.addresses, &caller.source.ip().to_canonical(), &self.clock)
    }

    /// Counts a request of a caller that telmeet claims, apart from the person's own requests.
    pub(crate) fn count_claim(&self, caller: &Header, kind: Kind) -> Result<(), Exceeded> {
        let claimed = &self.rates(kind).claimed;
        if claimed.len() >= MAX_CLAIMED {
            claimed.retain_recent();
        }
        if claimed.len() >= MAX_CLAIMED {
            return Err(Exceeded { limit: Limit::Rate, retry_after_s: FORGOTTEN_AFTER_S });
        }
        take(claimed, &caller.identity.person(), &self.clock)
    }

    /// Counts an opened sealed request from telmeet against the person who sealed it, but not against the address,
    /// which is only telmeet's claim.
    pub(crate) fn count_proven(&self, person: &Person) -> Result<(), Exceeded> {
        take(&self.rates(Kind::Write).people, person, &self.clock)
    }

    /// Counts a request of an app, identified by its key. Its address is always this machine's and is not counted.
    pub(crate) fn count_app(&self, app: &Person, kind: Kind) -> Result<(), Exceeded> {
        take(&self.rates(kind).people, app, &self.clock)
    }

    fn rates(&self, kind: Kind) -> &Rates<C> {
        match kind {
            Kind::Write => &self.rates[0],
            Kind::Read => &self.rates[1],
        }
    }

    /// Removes idle callers. Call it each minute.
    pub(crate) fn forget(&self) {
        for rates in &self.rates {
            rates.people.retain_recent();
            rates.people.shrink_to_fit();
            rates.addresses.retain_recent();
            rates.addresses.shrink_to_fit();
            rates.claimed.retain_recent();
            rates.claimed.shrink_to_fit();
        }
    }
}

/// So many times the chats that a person may start.
#[must_use]
pub(crate) fn quota(limits: &Limits, times: u32) -> Quota {
    let times = times.try_into().unwrap_or(limits.burst);
    Quota::per_minute(limits.chats_per_minute.saturating_mul(times))
        .allow_burst(limits.burst.saturating_mul(times))
}

/// Takes one from the key's allowance.
pub(crate) fn take<K: Hash + Eq + Clone, C: Clock>(
    allowances: &Keyed<K, C>,
    key: &K,
    clock: &C,
) -> Result<(), Exceeded> {
    let now = clock.now();
    allowances.check_key(key).map_err(|not| Exceeded {
        limit: Limit::Rate,
        retry_after_s: not.wait_time_from(now).as_secs() + 1,
    })
}

#[cfg(test)]
mod tests;
