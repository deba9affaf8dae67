use std::{num::NonZeroU32, time::Duration};

use governor::clock::FakeRelativeClock;
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
        authority: None,
    }
}

fn limiter(burst: u32) -> Limiter {
    Limiter::new(&Limits {
        chats_per_minute: NonZeroU32::MIN,
        burst: NonZeroU32::new(burst).unwrap(),
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
    assert!(
        matches!(refused, Exceeded { limit: Limit::Rate, retry_after_s: 1..=61 }),
        "{refused:?}"
    );
    limiter.count(&bob, Kind::Write).unwrap();
    limiter.count(&ada, Kind::Read).unwrap();

    // The same person from another address, and another person from the same address.
    assert!(limiter.count(&caller(1, "100.64.0.7:1"), Kind::Write).is_err());
    assert!(limiter.count(&caller(3, "100.64.0.5:9"), Kind::Write).is_err());
    limiter.forget();
    assert!(limiter.count(&ada, Kind::Write).is_err(), "those who asked lately are not forgotten");
}

/// Whatever telmeet claims, the person whom it names has as much left as before.
#[test]
fn claims_of_telmeet_count_separately_and_proven_requests_against_the_person() {
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
    assert_eq!(refused, Err(Exceeded { limit: Limit::Rate, retry_after_s: FORGOTTEN_AFTER_S }));
    limiter.count(&caller(named, "100.64.0.5:1"), Kind::Write).unwrap();
}

/// How many of `asks` requests, each `apart` from the one before, the usual limits let through.
fn let_through(asks: u32, apart: Duration) -> usize {
    let clock = FakeRelativeClock::default();
    let limiter = Limiter::with_clock(&Limits::default(), clock.clone());
    let ada = caller(1, "100.64.0.5:1");
    let asked = (0..asks).filter(|_| {
        clock.advance(apart);
        limiter.count(&ada, Kind::Write).is_ok()
    });
    asked.count()
}

#[test]
fn an_editor_that_completes_three_times_a_second_meets_no_limit_in_an_hour() {
    assert_eq!(let_through(3 * 3600, Duration::from_millis(333)), 3 * 3600);
}

#[test]
fn questions_of_a_chat_program_one_after_the_other_meet_no_limit() {
    let clock = FakeRelativeClock::default();
    let limiter = Limiter::with_clock(&Limits::default(), clock.clone());
    let ada = caller(1, "100.64.0.5:1");
    for question in 0..600 {
        for _ in 0..4 {
            limiter.count(&ada, Kind::Write).unwrap_or_else(|_| panic!("question {question}"));
        }
        clock.advance(Duration::from_secs(1));
    }
}

#[test]
fn a_flood_is_cut_down_to_the_rate() {
    let limits = Limits::default();
    let minute = 1000 * 60;
    let allowed = (limits.chats_per_minute.get() + limits.burst.get()) as usize;
    let passed = let_through(minute, Duration::from_millis(1));
    assert!(passed <= allowed + 1, "{passed} of {minute}, where {allowed} may");
    assert!(passed >= allowed - 2, "{passed} of {minute}, where {allowed} may");
}
