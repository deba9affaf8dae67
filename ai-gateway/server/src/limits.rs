//! How much each caller may use.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use mesh_identity::Header;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;

type Keyed<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>;

/// Reading keys and lists costs little: this many times as often as chats.
const READS: u32 = 10;

/// What a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It starts a chat, or changes something.
    Write,
    /// It reads keys or a list.
    Read,
}

/// Too much was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// This caller asks too often.
    Rate {
        /// When to ask again, in seconds.
        retry_after_s: u64,
    },
    /// This person has as many replies under way as one may.
    Person,
    /// The gateway has as many replies under way as it may.
    Total,
}

/// Rates and concurrency, by person and by address.
#[derive(Debug)]
pub struct Limiter {
    rates: [Rates; 2],
    slots: Arc<Semaphore>,
    per_person: usize,
    people: Arc<Mutex<HashMap<String, usize>>>,
}

#[derive(Debug)]
struct Rates {
    people: Keyed<String>,
    addresses: Keyed<IpAddr>,
}

/// The right to have one reply under way; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    people: Arc<Mutex<HashMap<String, usize>>>,
    person: String,
    _slot: OwnedSemaphorePermit,
}

impl Limiter {
    /// Enforces these limits.
    #[must_use]
    pub fn new(limits: &config::Limits) -> Self {
        let quota = |times: u32| {
            let minute =
                limits.chats_per_minute.saturating_mul(times.try_into().unwrap_or(limits.burst));
            Quota::per_minute(minute)
                .allow_burst(limits.burst.saturating_mul(times.try_into().unwrap_or(limits.burst)))
        };
        let rates = |times| Rates {
            people: RateLimiter::keyed(quota(times)),
            addresses: RateLimiter::keyed(quota(times)),
        };
        Self {
            rates: [rates(1), rates(READS)],
            slots: Arc::new(Semaphore::new(limits.concurrent_chats)),
            per_person: limits.concurrent_chats_per_person,
            people: Arc::default(),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Rate`].
    pub fn count(&self, caller: &Header, kind: Kind) -> Result<(), Exceeded> {
        let rates = match kind {
            Kind::Write => &self.rates[0],
            Kind::Read => &self.rates[1],
        };
        let now = DefaultClock::default().now();
        let later = |not: governor::NotUntil<_>| Exceeded::Rate {
            retry_after_s: not.wait_time_from(now).as_secs() + 1,
        };
        rates.people.check_key(&caller.identity.person()).map_err(later)?;
        rates.addresses.check_key(&caller.source.ip().to_canonical()).map_err(later)
    }

    /// Takes the right to have a reply under way.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Person`] or [`Exceeded::Total`].
    pub fn begin(&self, person: &str) -> Result<Slot, Exceeded> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Exceeded::Total)?;
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let count = people.entry(person.to_owned()).or_default();
        if *count >= self.per_person {
            return Err(Exceeded::Person);
        }
        *count += 1;
        Ok(Slot { people: Arc::clone(&self.people), person: person.to_owned(), _slot: slot })
    }

    /// Forgets callers who have not asked for a while. Call it each minute.
    pub fn forget(&self) {
        for rates in &self.rates {
            rates.people.retain_recent();
            rates.people.shrink_to_fit();
            rates.addresses.retain_recent();
            rates.addresses.shrink_to_fit();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = people.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                people.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use mesh_identity::{Identity, User};

    use super::*;

    fn caller(user: u64, address: &str) -> Header {
        Header {
            source: address.parse().unwrap(),
            destination: "100.64.0.1:18789".parse().unwrap(),
            identity: Identity {
                v: mesh_identity::VERSION,
                node: "n".to_owned(),
                user: Some(User { id: user, login: "x".to_owned() }),
                tags: vec![],
                service: "gateway".to_owned(),
            },
        }
    }

    fn limiter(burst: u32) -> Limiter {
        Limiter::new(&config::Limits {
            chats_per_minute: NonZeroU32::MIN,
            burst: NonZeroU32::new(burst).unwrap(),
            concurrent_chats: 3,
            concurrent_chats_per_person: 2,
            ..config::Limits::default()
        })
    }

    #[test]
    fn people_and_addresses_are_counted_apart() {
        let limiter = limiter(2);
        let (ada, bob) = (caller(1, "100.64.0.5:1"), caller(2, "100.64.0.6:1"));
        for _ in 0..2 {
            limiter.count(&ada, Kind::Write).unwrap();
        }
        let refused = limiter.count(&ada, Kind::Write).unwrap_err();
        assert!(matches!(refused, Exceeded::Rate { retry_after_s: 1..=61 }), "{refused:?}");
        limiter.count(&bob, Kind::Write).unwrap();
        limiter.count(&ada, Kind::Read).unwrap();

        // The same person from another address, and another person from the same address.
        assert!(limiter.count(&caller(1, "100.64.0.7:1"), Kind::Write).is_err());
        assert!(limiter.count(&caller(3, "100.64.0.5:9"), Kind::Write).is_err());
        limiter.forget();
        assert!(
            limiter.count(&ada, Kind::Write).is_err(),
            "those who asked lately are not forgotten"
        );
    }

    /// What is in the example and the default engine: one person does not fill both slots and the line before them.
    #[test]
    fn one_person_leaves_the_line_of_an_engine_to_others() {
        let limiter = Limiter::new(&config::Limits::default());
        let _own = [limiter.begin("a").unwrap(), limiter.begin("a").unwrap()];
        assert_eq!(limiter.begin("a").unwrap_err(), Exceeded::Person);
        limiter.begin("b").unwrap();
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let limiter = limiter(1);
        let (one, two) = (limiter.begin("a").unwrap(), limiter.begin("a").unwrap());
        assert_eq!(limiter.begin("a").unwrap_err(), Exceeded::Person);
        let _three = limiter.begin("b").unwrap();
        assert_eq!(limiter.begin("c").unwrap_err(), Exceeded::Total);
        drop(one);
        let _again = limiter.begin("a").unwrap();
        drop(two);
        assert_eq!(limiter.people.lock().unwrap().len(), 2);
    }
}
