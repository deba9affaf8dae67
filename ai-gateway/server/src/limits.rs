//! How much each caller may use.
//!
//! On the agent's listener the header is true, so each request is counted against its person and its address at once. On
//! telmeet's listener it is a claim: it is counted apart, so that one member cannot keep that listener busy for all, and what a
//! lying telmeet claims costs nobody anything but telmeet itself. Against the person a request counts there once it is
//! opened, which proves who sent it.

use std::{hash::Hash, net::IpAddr};

use ai_gateway_api::settings::gateway::Limits;
use chassis::quota::{self, Permit};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use mesh_identity::{Header, Person};

type Keyed<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>;

/// Reading keys and lists costs little: this many times as often as chats.
const READS: u32 = 10;
/// Most people whom telmeet may name in a minute: more than a network has.
const MAX_CLAIMED: usize = 4096;
/// How often callers who have not asked for a while are forgotten, in seconds.
const FORGOTTEN_AFTER_S: u64 = 60;

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
    replies: quota::Quota<Person>,
}

#[derive(Debug)]
struct Rates {
    people: Keyed<Person>,
    addresses: Keyed<IpAddr>,
    /// Whom telmeet says that it asks for.
    claimed: Keyed<Person>,
}

/// The right to have one reply under way; given back when dropped.
pub type ReplyPermit = Permit<Person>;

impl Limiter {
    /// Enforces these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let quota = |times: u32| {
            let minute =
                limits.chats_per_minute.saturating_mul(times.try_into().unwrap_or(limits.burst));
            Quota::per_minute(minute)
                .allow_burst(limits.burst.saturating_mul(times.try_into().unwrap_or(limits.burst)))
        };
        let rates = |times| Rates {
            people: RateLimiter::keyed(quota(times)),
            addresses: RateLimiter::keyed(quota(times)),
            claimed: RateLimiter::keyed(quota(times)),
        };
        Self {
            rates: [rates(1), rates(READS)],
            replies: quota::Quota::new(limits.concurrent_chats, limits.concurrent_chats_per_person),
        }
    }

    /// Counts a request of a caller whom the agent named.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Rate`].
    pub fn count(&self, caller: &Header, kind: Kind) -> Result<(), Exceeded> {
        let rates = self.rates(kind);
        take(&rates.people, &caller.identity.person())?;
        take(&rates.addresses, &caller.source.ip().to_canonical())
    }

    /// Counts a request of a caller whom telmeet claims to ask for, against telmeet's claims alone.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Rate`].
    pub fn count_claim(&self, caller: &Header, kind: Kind) -> Result<(), Exceeded> {
        let claimed = &self.rates(kind).claimed;
        if claimed.len() >= MAX_CLAIMED {
            claimed.retain_recent();
        }
        if claimed.len() >= MAX_CLAIMED {
            return Err(Exceeded::Rate { retry_after_s: FORGOTTEN_AFTER_S });
        }
        take(claimed, &caller.identity.person())
    }

    /// Counts a sealed request that came by telmeet and was opened, against the person who sealed it. Not against the
    /// address: nothing shows that telmeet named the right one.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Rate`].
    pub fn count_proven(&self, person: &Person) -> Result<(), Exceeded> {
        take(&self.rates(Kind::Write).people, person)
    }

    /// Counts a request of a program of this machine, which its key names. From which address it comes says nothing.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Rate`].
    pub fn count_app(&self, app: &Person, kind: Kind) -> Result<(), Exceeded> {
        take(&self.rates(kind).people, app)
    }

    fn rates(&self, kind: Kind) -> &Rates {
        match kind {
            Kind::Write => &self.rates[0],
            Kind::Read => &self.rates[1],
        }
    }

    /// Takes the right to have a reply under way.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Person`] or [`Exceeded::Total`].
    pub fn begin(&self, person: &Person) -> Result<ReplyPermit, Exceeded> {
        self.replies.take(person.clone()).map_err(|exceeded| match exceeded {
            quota::Exceeded::Total => Exceeded::Total,
            quota::Exceeded::Each => Exceeded::Person,
        })
    }

    /// Forgets callers who have not asked for a while. Call it each minute.
    pub fn forget(&self) {
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

/// Takes one from the key's allowance.
fn take<K: Hash + Eq + Clone>(allowances: &Keyed<K>, key: &K) -> Result<(), Exceeded> {
    let now = DefaultClock::default().now();
    allowances
        .check_key(key)
        .map_err(|not| Exceeded::Rate { retry_after_s: not.wait_time_from(now).as_secs() + 1 })
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
        Limiter::new(&Limits {
            chats_per_minute: NonZeroU32::MIN,
            burst: NonZeroU32::new(burst).unwrap(),
            concurrent_chats: 3,
            concurrent_chats_per_person: 2,
            ..Limits::default()
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

    /// Whatever telmeet claims, the person whom it names has as much left as before.
    #[test]
    fn what_telmeet_claims_is_counted_apart_and_what_it_proves_against_the_person() {
        let limiter = limiter(2);
        let ada = caller(1, "100.64.0.5:1");
        for _ in 0..2 {
            limiter.count_claim(&ada, Kind::Write).unwrap();
        }
        assert!(limiter.count_claim(&ada, Kind::Write).is_err(), "telmeet is bounded, too");
        limiter.count_claim(&caller(2, "100.64.0.5:1"), Kind::Write).unwrap();
        limiter.count(&ada, Kind::Write).unwrap();

        limiter.count_proven(&ada.identity.person()).unwrap();
        assert!(limiter.count_proven(&ada.identity.person()).is_err());
        assert!(limiter.count(&ada, Kind::Write).is_err(), "she asked twice, by two listeners");
    }

    #[test]
    fn telmeet_names_a_bounded_number_of_people() {
        let limiter = limiter(1);
        let named = u64::try_from(MAX_CLAIMED).unwrap();
        for user in 0..named {
            limiter.count_claim(&caller(user, "100.64.0.5:1"), Kind::Write).unwrap();
        }
        let refused = limiter.count_claim(&caller(named, "100.64.0.5:1"), Kind::Write);
        assert_eq!(refused, Err(Exceeded::Rate { retry_after_s: FORGOTTEN_AFTER_S }));
        limiter.count(&caller(named, "100.64.0.5:1"), Kind::Write).unwrap();
    }

    /// What is in the example and the default engine: one person does not fill both slots and the line before them.
    #[test]
    fn one_person_leaves_the_line_of_an_engine_to_others() {
        let limiter = Limiter::new(&Limits::default());
        let _own =
            [limiter.begin(&Person::User(1)).unwrap(), limiter.begin(&Person::User(1)).unwrap()];
        assert_eq!(limiter.begin(&Person::User(1)).unwrap_err(), Exceeded::Person);
        drop(limiter.begin(&Person::User(2)).unwrap());
    }

    #[test]
    fn replies_are_bounded_and_permits_given_back() {
        let limiter = limiter(1);
        let (one, two) =
            (limiter.begin(&Person::User(1)).unwrap(), limiter.begin(&Person::User(1)).unwrap());
        assert_eq!(limiter.begin(&Person::User(1)).unwrap_err(), Exceeded::Person);
        let _three = limiter.begin(&Person::User(2)).unwrap();
        assert_eq!(limiter.begin(&Person::User(3)).unwrap_err(), Exceeded::Total);
        drop(one);
        let _again = limiter.begin(&Person::User(1)).unwrap();
        drop(two);
        assert_eq!(limiter.replies.holders(), 2);
    }
}
