use std::time::{Duration, Instant};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{CODE_LIFETIME, Challenge, Codes, Grant, Proof};
use crate::{
    Error,
    sign_in::{
        one_time::{Caller, NodeId, PER_PERSON},
        redirect::Redirect,
        scope::Scope,
    },
    testing::user,
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Of the verifier above (RFC 7636, appendix B).
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

fn kim(node: &str) -> Caller {
    Caller { person: user("kim"), node: NodeId(node.to_owned()) }
}

fn authorization() -> Grant {
    Grant::Authorization {
        client_id: "app".to_owned(),
        redirect: Redirect::parse("http://localhost:1234", &[]).unwrap(),
        scope: Scope::parse("urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ").unwrap(),
        challenge: Challenge::parse(CHALLENGE, "S256").unwrap(),
    }
}

const PROOF: Proof<'_> = Proof::Authorization {
    client_id: "app",
    redirect_uri: "http://localhost:1234",
    verifier: VERIFIER,
};

#[test]
fn a_code_is_used_once() {
    let (mut codes, now) = (Codes::default(), now());
    let code = codes.issue(kim("n1"), authorization(), [1; 32], now);
    assert_eq!(code.len(), 43);
    assert_eq!(codes.redeem(&code, &kim("n1"), PROOF, now), Ok(authorization()));
    assert!(matches!(codes.redeem(&code, &kim("n1"), PROOF, now), Err(Error::Forbidden(_))));
    let token = codes.issue(kim("n1"), Grant::LoginToken, [2; 32], now);
    assert_eq!(codes.redeem(&token, &kim("n1"), Proof::LoginToken, now), Ok(Grant::LoginToken));
    assert!(codes.redeem(&token, &kim("n1"), Proof::LoginToken, now).is_err());
}

#[test]
fn a_code_lives_thirty_seconds() {
    for (age, is_good) in [(CODE_LIFETIME - Duration::from_millis(1), true), (CODE_LIFETIME, false)]
    {
        let (mut codes, now) = (Codes::default(), now());
        let code = codes.issue(kim("n1"), authorization(), [1; 32], now);
        assert_eq!(codes.redeem(&code, &kim("n1"), PROOF, now + age).is_ok(), is_good);
    }
}

#[test]
fn a_code_is_good_for_nobody_else_and_void_after_a_try() {
    let other = Caller { person: user("min"), node: NodeId("n1".to_owned()) };
    let proof = |client_id, redirect_uri, verifier| Proof::Authorization {
        client_id,
        redirect_uri,
        verifier,
    };
    let long = "a".repeat(129);
    for (caller, proof) in [
        (other, PROOF),
        (kim("n2"), PROOF),
        (kim("n1"), Proof::LoginToken),
        (kim("n1"), proof("other", "http://localhost:1234", VERIFIER)),
        (kim("n1"), proof("app", "http://localhost:1235", VERIFIER)),
        (kim("n1"), proof("app", "", VERIFIER)),
        (kim("n1"), proof("app", "http://localhost:1234", &VERIFIER[1..])),
        (kim("n1"), proof("app", "http://localhost:1234", CHALLENGE)),
        (kim("n1"), proof("app", "http://localhost:1234", "")),
        (kim("n1"), proof("app", "http://localhost:1234", &long)),
    ] {
        let (mut codes, now) = (Codes::default(), now());
        let code = codes.issue(kim("n1"), authorization(), [1; 32], now);
        assert!(codes.redeem(&code, &caller, proof, now).is_err(), "{caller:?} {proof:?}");
        assert!(codes.redeem(&code, &kim("n1"), PROOF, now).is_err(), "a stolen code is void");
    }
    let (mut codes, now) = (Codes::default(), now());
    let token = codes.issue(kim("n1"), Grant::LoginToken, [2; 32], now);
    assert!(codes.redeem(&token, &kim("n1"), PROOF, now).is_err());
}

#[test]
fn a_removed_node_loses_its_codes() {
    let (mut codes, now) = (Codes::default(), now());
    let gone = codes.issue(kim("n1"), Grant::LoginToken, [1; 32], now);
    let stays = codes.issue(kim("n2"), Grant::LoginToken, [2; 32], now);
    codes.remove_node(&NodeId("n1".to_owned()));
    assert!(codes.redeem(&gone, &kim("n1"), Proof::LoginToken, now).is_err());
    assert!(codes.redeem(&stays, &kim("n2"), Proof::LoginToken, now).is_ok());
}

#[test]
fn codes_are_bounded() {
    let (mut codes, start) = (Codes::default(), now());
    let issued: Vec<String> = (0..=PER_PERSON)
        .map(|number| {
            let at = start + Duration::from_millis(number as u64);
            codes.issue(kim("n1"), Grant::LoginToken, [u8::try_from(number).unwrap(); 32], at)
        })
        .collect();
    assert_eq!(codes.0.len(), PER_PERSON);
    assert!(codes.redeem(&issued[0], &kim("n1"), Proof::LoginToken, start).is_err());
    assert!(codes.redeem(&issued[1], &kim("n1"), Proof::LoginToken, start).is_ok());
    let other = Caller { person: user("min"), node: NodeId("n3".to_owned()) };
    codes.issue(other, Grant::LoginToken, [99; 32], start + 2 * CODE_LIFETIME);
    assert_eq!(codes.0.len(), 1, "expired codes are forgotten");
}

#[test]
fn only_hashes_are_challenges() {
    assert!(Challenge::parse(CHALLENGE, "S256").unwrap().is_met(VERIFIER));
    for (challenge, method) in [
        (CHALLENGE, "plain"),
        (CHALLENGE, ""),
        (CHALLENGE, "s256"),
        ("", "S256"),
        (&CHALLENGE[1..], "S256"),
        ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "S256"),
        ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM", "S256"),
        ("AAAA", "S256"),
    ] {
        assert!(Challenge::parse(challenge, method).is_err(), "{challenge} {method}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_code(code in ".{0,50}", random: [u8; 32]) {
        let (mut codes, now) = (Codes::default(), now());
        let issued = codes.issue(kim("n1"), Grant::LoginToken, random, now);
        prop_assert_eq!(codes.redeem(&code, &kim("n1"), Proof::LoginToken, now).is_ok(), code == issued);
    }

    #[test]
    fn a_challenge_is_met_by_its_verifier_alone(
        verifier in "[A-Za-z0-9._~-]{43,128}", other in "[A-Za-z0-9._~-]{43,128}",
    ) {
        let challenge = Challenge(Sha256::digest(&verifier).into());
        prop_assert!(challenge.is_met(&verifier));
        prop_assert_eq!(challenge.is_met(&other), verifier == other);
    }
}
