//! Tests of opening: what is opened, what is refused, what is forgotten.

use ai_gateway_api::{memory::OwnMemory, wire::Bytes};
use ed25519_dalek::Signer;
use proptest::prelude::*;

use super::*;
use crate::{
    Suite, TTL, client,
    fixture::{NOW, device, keys, request_id, ring, seal},
};

const HOUR: u64 = 3_600_000;

fn reason(result: Result<Opened, OpenError>) -> Reason {
    match result.unwrap_err() {
        OpenError::Refused(reason) => reason,
        other @ (OpenError::CacheFull | OpenError::Random(_)) => panic!("{other:?}"),
    }
}

/// Signs a changed request again, as the device that owns it could.
fn sign(mut request: Request) -> Request {
    request.signature = Fixed(device().sign(&signed_request(&request)).to_bytes());
    request
}

#[test]
fn both_suites_are_opened_and_answered() {
    for suite in Suite::ALL {
        let mut ring = ring();
        let (request, mut reply) = seal(&mut ring, suite, 1, b"hello", NOW);

        let opened = ring.open(&request, NOW + 5, OwnMemory).unwrap();

        assert_eq!(&*opened.plaintext, b"hello");
        let mut sealer = opened.reply;
        let parts = [
            ai_gateway_api::sealed::ReplyPart::Start(sealer.start()),
            ai_gateway_api::sealed::ReplyPart::Chunk(sealer.chunk(b"he").unwrap()),
            ai_gateway_api::sealed::ReplyPart::Final(sealer.finish(b"llo").unwrap()),
        ];
        let texts: Vec<_> = parts.iter().filter_map(|part| reply.handle(part).unwrap()).collect();
        assert_eq!(texts.iter().map(|text| text.as_slice()).collect::<Vec<_>>().concat(), b"hello");
        assert_eq!(reply.end(), Ok(()));
    }
}

#[test]
fn every_refusal_reads_the_same() {
    let reasons = [
        Reason::Stale,
        Reason::Early,
        Reason::RequestId,
        Reason::UnknownKey,
        Reason::Signature,
        Reason::Replayed,
        Reason::Unopenable,
    ];
    for reason in reasons {
        assert_eq!(OpenError::Refused(reason).to_string(), "the request cannot be opened");
    }
}

#[test]
fn a_request_is_opened_once() {
    let mut ring = ring();
    let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    ring.open(&request, NOW, OwnMemory).unwrap();

    assert_eq!(reason(ring.open(&request, NOW, OwnMemory)), Reason::Replayed);
    assert_eq!(reason(ring.open(&request, NOW + ms(TTL), OwnMemory)), Reason::Replayed);
    assert_eq!(reason(ring.open(&request, NOW + ms(TTL) + 1, OwnMemory)), Reason::Stale);
}

#[test]
fn of_two_that_open_the_same_at_once_one_may_use_it() {
    let mut ring = ring();
    let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    let [one, other] = [(); 2].map(|()| ring.prepare(&request, NOW).unwrap());
    let (_, one) = one.open(&request, OwnMemory).unwrap();
    let (_, other) = other.open(&request, OwnMemory).unwrap();

    ring.remember(one, NOW).unwrap();

    let refused = ring.remember(other, NOW).unwrap_err();
    assert_eq!(refused, Reason::Replayed.into());
    assert_eq!(ring.replay.len(), 1);
}

/// A machine that sleeps between the two, or whose clock is set back: what was remembered before is gone by then.
#[test]
fn a_request_that_expired_before_it_was_added_is_refused() {
    for (later, expected) in [(11 * 60_000 + 30_001, Reason::Stale), (-45_000, Reason::UnknownKey)]
    {
        let mut ring = ring();
        let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW - 45_000);
        let [one, other] = [(); 2].map(|()| ring.prepare(&request, NOW).unwrap());
        let (_, one) = one.open(&request, OwnMemory).unwrap();
        let (_, other) = other.open(&request, OwnMemory).unwrap();
        ring.remember(one, NOW).unwrap();

        let later = NOW.saturating_add_signed(later);
        ring.tick(later).unwrap();
        assert_eq!(ring.replay.len(), 0, "it is forgotten");
        assert_eq!(ring.remember(other, later).unwrap_err(), expected.into());
    }
}

#[test]
fn a_key_that_is_destroyed_opens_only_what_it_was_found_for() {
    let mut ring = ring();
    let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    let prepared = ring.prepare(&request, NOW).unwrap();

    ring.tick(NOW + 30 * 24 * HOUR).unwrap();

    assert_eq!(reason(ring.open(&request, NOW, OwnMemory)), Reason::UnknownKey);
    assert!(prepared.open(&request, OwnMemory).is_ok());
}

#[test]
fn a_question_sealed_again_runs_once() {
    let mut ring = ring();
    let (first, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    ring.open(&first, NOW, OwnMemory).unwrap();
    let keys = keys(&mut ring, NOW);
    let mut again = |now| {
        let key = keys.select(Suite::X25519, now).unwrap();
        let (request, _) = client::seal(&device(), key, first.request_id, b"hello", now).unwrap();
        reason(ring.open(&request, now, OwnMemory))
    };

    assert_eq!(again(NOW + 1), Reason::Replayed);
    assert_eq!(again(NOW + ms(ID_LIFE)), Reason::Replayed);
    assert_eq!(again(NOW + ms(ID_LIFE) + 1), Reason::RequestId);
    assert_eq!(again(NOW + 2 * ms(ID_LIFE)), Reason::RequestId);
}

#[test]
fn a_refused_request_leaves_the_question_free() {
    let mut ring = ring();
    let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    let mut broken = request.clone();
    broken.ciphertext.0[0] ^= 1;

    assert_eq!(reason(ring.open(&sign(broken), NOW, OwnMemory)), Reason::Unopenable);

    assert!(ring.open(&request, NOW, OwnMemory).is_ok());
}

#[test]
fn time_is_checked_both_ways_to_the_millisecond() {
    let open = |offset: i64| {
        let mut ring = ring();
        let (request, _) = seal(&mut ring, Suite::X25519, 1, b"hello", NOW);
        let now = NOW.checked_add_signed(offset).unwrap();
        // A ring made at that time, with the same keys: the request is all that is old or new.
        ring.latest = now;
        ring.current.since = 0;
        ring.open(&request, now, OwnMemory)
    };

    assert!(open(60_000).is_ok());
    assert_eq!(reason(open(60_001)), Reason::Stale);
    assert!(open(-30_000).is_ok());
    assert_eq!(reason(open(-30_001)), Reason::Early);
    assert_eq!(reason(open(24 * 3_600_000 - 1)), Reason::Stale);
}

#[test]
fn clocks_within_the_skew_meet_even_when_the_gateway_just_started() {
    for (offset, suite) in [(-25_000, Suite::XWing), (25_000, Suite::X25519)] {
        let mut ring = ring();
        let mine = NOW.checked_add_signed(offset).unwrap();
        let keys = keys(&mut ring, NOW);
        assert_eq!(keys.check_clock(mine, mine + 5), Ok(()));
        let key = keys.select(suite, mine).unwrap();

        let (request, _) =
            client::seal(&device(), key, request_id(mine, 1), b"hello", mine).unwrap();

        assert!(ring.open(&request, NOW + 10, OwnMemory).is_ok(), "{offset}");
    }
}

#[test]
fn a_request_id_is_a_recent_version_7() {
    let mut ring = ring();
    let keys = keys(&mut ring, NOW);
    let key = keys.select(Suite::X25519, NOW).unwrap();
    let mut open = |id| {
        let (request, _) = client::seal(&device(), key, id, b"hello", NOW).unwrap();
        ring.open(&request, NOW, OwnMemory)
    };

    assert_eq!(reason(open(Uuid::nil())), Reason::RequestId);
    assert_eq!(
        reason(open(uuid::Builder::from_random_bytes([7; 16]).into_uuid())),
        Reason::RequestId
    );
    assert_eq!(reason(open(request_id(NOW + ms(SKEW) + 1, 1))), Reason::RequestId);
    assert!(open(request_id(NOW + ms(SKEW), 2)).is_ok());
}

#[test]
fn an_unknown_key_is_refused() {
    let mut ring = ring();
    let mut stranger =
        KeyRing::new(SigningKey::from_bytes(&[9; 32]), Settings::default(), 0, NOW).unwrap();
    let (request, _) = seal(&mut stranger, Suite::XWing, 1, b"hello", NOW);

    assert_eq!(reason(ring.open(&request, NOW, OwnMemory)), Reason::UnknownKey);
}

#[test]
fn another_device_cannot_take_a_request_over() {
    let mut ring = ring();
    let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    let thief = SigningKey::from_bytes(&[3; 32]);
    let mut stolen = Request { device_pubkey: Fixed(thief.verifying_key().to_bytes()), ..request };
    assert_eq!(reason(ring.open(&stolen, NOW, OwnMemory)), Reason::Signature);

    stolen.signature = Fixed(thief.sign(&signed_request(&stolen)).to_bytes());

    assert_eq!(reason(ring.open(&stolen, NOW, OwnMemory)), Reason::Unopenable);
}

#[test]
fn a_key_of_a_small_group_signs_nothing() {
    let mut ring = ring();
    let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
    let mut identity = [0; 32];
    identity[0] = 1;
    let forged = Request { device_pubkey: Fixed(identity), signature: Fixed([0; 64]), ..request };

    assert_eq!(reason(ring.open(&forged, NOW, OwnMemory)), Reason::Signature);
}

#[test]
fn keys_rotate_with_overlap_and_are_destroyed() {
    let mut ring = ring();
    let first = keys(&mut ring, NOW);
    let old = first.select(Suite::XWing, NOW).unwrap().clone();
    let ask = |ring: &mut KeyRing, key: &crate::KeyConfig, now| {
        let (request, _) =
            client::seal(&device(), key, request_id(now, u128::from(now)), b"hello", now).unwrap();
        ring.open(&request, now, OwnMemory).map(drop)
    };

    assert!(!ring.tick(NOW + 24 * HOUR - 1).unwrap());
    assert!(ring.tick(NOW + 24 * HOUR).unwrap());
    let second = keys(&mut ring, NOW + 24 * HOUR);

    assert_eq!(second.epoch(), first.epoch() + 1);
    let new = second.select(Suite::XWing, NOW + 24 * HOUR).unwrap().clone();
    assert_ne!(new, old);
    assert_eq!(
        first.select(Suite::XWing, NOW + 24 * HOUR),
        Some(&new),
        "the next key was announced"
    );
    assert_eq!(ask(&mut ring, &new, NOW + 24 * HOUR), Ok(()));
    assert_eq!(ask(&mut ring, &old, NOW + 25 * HOUR), Ok(()), "overlap");
    assert_eq!(ask(&mut ring, &old, NOW + 25 * HOUR + 1), Err(Reason::UnknownKey.into()));
    assert!(ring.previous.is_none(), "destroyed");
}

#[test]
fn the_next_key_is_not_taken_before_its_time() {
    let mut ring = ring();
    let document = ring.document(NOW).unwrap();
    let next = crate::KeyConfig::from_published(&document.next[0]).unwrap();

    let (request, _) = client::seal(&device(), &next, request_id(NOW, 1), b"hello", NOW).unwrap();

    assert_eq!(reason(ring.open(&request, NOW, OwnMemory)), Reason::UnknownKey);
}

#[test]
fn a_clock_set_back_or_a_long_sleep_makes_all_keys_new() {
    for now in [NOW - ms(SKEW) - 1, NOW + 48 * HOUR] {
        let mut ring = ring();
        let (request, _) = seal(&mut ring, Suite::XWing, 1, b"hello", NOW);
        let epoch = ring.epoch();

        assert!(ring.tick(now).unwrap());

        assert!(ring.epoch() > epoch);
        assert!(ring.find(request.key_id, now).is_none());
        assert!(ring.previous.is_none());
    }
}

#[test]
fn a_restart_begins_a_later_epoch() {
    let first = ring().epoch();
    let set_back =
        KeyRing::new(SigningKey::from_bytes(&[1; 32]), Settings::default(), first, NOW - HOUR)
            .unwrap();

    assert_eq!(set_back.epoch(), first + 1);
}

#[test]
fn a_full_cache_is_busy_and_empties_with_time() {
    let settings = Settings { replay: Limits { total: 3, per_device: 2 }, ..Settings::default() };
    let mut ring = KeyRing::new(SigningKey::from_bytes(&[1; 32]), settings, 0, NOW).unwrap();
    let mut ask = |device: u8, seed, now| {
        let keys = keys(&mut ring, now);
        let key = keys.select(Suite::X25519, now).unwrap();
        let device = SigningKey::from_bytes(&[device; 32]);
        let (request, _) =
            client::seal(&device, key, request_id(now, seed), b"hello", now).unwrap();
        ring.open(&request, now, OwnMemory).map(drop)
    };

    assert_eq!(ask(2, 1, NOW), Ok(()));
    assert_eq!(ask(2, 2, NOW), Ok(()));
    assert_eq!(ask(2, 3, NOW), Err(OpenError::CacheFull), "per device");
    assert_eq!(ask(3, 4, NOW), Ok(()));
    assert_eq!(ask(4, 5, NOW), Err(OpenError::CacheFull), "in all");
    let later = NOW + ms(ID_LIFE) + 2 * ms(SKEW) + 1;
    assert_eq!(ask(2, 6, later), Ok(()));
    assert_eq!(ring.replay.len(), 1, "the old ones are forgotten");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One flipped bit anywhere is refused; signed anew or not.
    #[test]
    fn a_flipped_bit_is_refused(
        suite in prop::sample::select(&Suite::ALL[..]),
        field in 0..7_usize,
        position in any::<prop::sample::Index>(),
        signed_again in any::<bool>(),
    ) {
        let mut ring = ring();
        let (mut request, _) = seal(&mut ring, suite, 1, b"hello", NOW);
        let flip = |bytes: &mut [u8]| {
            let bit = position.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        };
        match field {
            0 => flip(&mut request.key_id.0),
            1 => flip(&mut request.encapsulated_key.0),
            2 => flip(&mut request.ciphertext.0),
            3 => request.timestamp ^= 1 << position.index(64),
            4 => request.request_id = Uuid::from_u128(request.request_id.as_u128() ^ (1 << position.index(128))),
            5 => flip(&mut request.device_pubkey.0),
            _ => flip(&mut request.signature.0),
        }
        // The last two have no new signature that would verify and differ.
        let request = if signed_again && field < 5 { sign(request) } else { request };

        prop_assert!(ring.open(&request, NOW, OwnMemory).is_err());
    }

    #[test]
    fn arbitrary_requests_never_panic(
        encapsulated_key in any::<Vec<u8>>(),
        ciphertext in any::<Vec<u8>>(),
        timestamp in prop_oneof![any::<u64>(), Just(NOW)],
        now in prop_oneof![any::<u64>(), Just(NOW)],
        suite in 0..3_usize,
    ) {
        let mut ring = ring();
        let key_id = ring.current.keys.get(suite).map_or(Fixed([0; 8]), |key| key.id);
        let request = sign(Request {
            version: ai_gateway_api::wire::Version,
            key_id,
            encapsulated_key: Bytes(encapsulated_key),
            ciphertext: Bytes(ciphertext),
            timestamp,
            request_id: request_id(NOW, 1),
            device_pubkey: Fixed(device().verifying_key().to_bytes()),
            signature: Fixed([0; 64]),
        });

        prop_assert!(ring.open(&request, now, OwnMemory).is_err());
    }

    #[test]
    fn any_text_comes_through(
        suite in prop::sample::select(&Suite::ALL[..]),
        text in prop::collection::vec(any::<u8>(), 0..5000),
    ) {
        let mut ring = ring();
        let (request, _) = seal(&mut ring, suite, 1, &text, NOW);

        prop_assert_eq!(&*ring.open(&request, NOW, OwnMemory).unwrap().plaintext, &text[..]);
    }
}
