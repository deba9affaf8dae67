//! Policies and pins.

use attestation::{
    AWS_NITRO_ROOT, Class, Code, DocumentVersion, EffectivePolicy, Fingerprint, PinnedAnchor,
};
use common::wire::{Bytes, Fixed};
use confidential_api::{
    policy::{EvidenceKind, Policy},
    signed::Signed,
};
use ed25519_dalek::SigningKey;

use crate::bench::{Case, LAB, NOW, anchor, identity, image, try_all};

fn seen(case: &Case) -> DocumentVersion {
    case.effective().unwrap().seen()
}

#[test]
fn policies_are_refused() {
    try_all(&[
        ("expired", Code::PolicyExpired, |case| case.policy.not_after = NOW),
        ("rolled back", Code::PolicyRolledBack, |case| {
            let mut newer = Case::valid();
            newer.policy.epoch += 1;
            case.seen = Some(seen(&newer));
        }),
        ("another one of the same epoch", Code::PolicyRolledBack, |case| {
            case.seen = Some(seen(case));
            case.policy.images.pop();
        }),
        ("older than the pin wants", Code::PolicyRolledBack, |case| case.pin.min_epoch = 4),
        ("signed by somebody else", Code::PolicySignature, |case| {
            case.signer = SigningKey::from_bytes(&[6; 32]);
        }),
        ("of another deployment", Code::PolicySignature, |case| {
            case.pin.identity = Fixed(SigningKey::from_bytes(&[6; 32]).verifying_key().to_bytes());
        }),
    ]);
}

#[test]
fn the_same_policy_and_a_newer_one_follow() {
    let mut case = Case::valid();
    case.seen = Some(seen(&case));
    case.policy.epoch += 1;
    case.verdict().unwrap();
    let mut case = Case::valid();
    case.seen = Some(seen(&case));
    case.verdict().unwrap();
}

#[test]
fn a_published_policy_never_widens_the_pin() {
    try_all(&[
        ("an anchor that is not pinned", Code::PolicyWiderThanPin, |case| case.pin.anchors.clear()),
        ("an anchor that is pinned for something else", Code::PolicyWiderThanPin, |case| {
            case.pin.anchors[0].anchor.kind = EvidenceKind::Tpm;
        }),
        ("an image that is not pinned", Code::PolicyWiderThanPin, |case| {
            case.pin.images = Some(vec![image("second", 40)]);
        }),
        ("no image is pinned", Code::PolicyWiderThanPin, |case| case.pin.images = Some(Vec::new())),
        ("an image with a register less than pinned", Code::PolicyWiderThanPin, |case| {
            case.pin.images = Some(vec![image("first", 10)]);
            case.policy.images[0].pcrs.0.remove(&16);
        }),
        ("an image with a model more than pinned", Code::PolicyWiderThanPin, |case| {
            case.pin.images = Some(vec![image("first", 10)]);
            case.policy.images[0].models.push("other".to_owned());
        }),
    ]);
}

#[test]
fn a_pin_never_widens_what_is_published() {
    try_all(&[
        ("an anchor that is pinned alone", Code::UnknownRoot, |case| case.policy.anchors.clear()),
        ("an anchor that is published for something else", Code::UnknownRoot, |case| {
            case.policy.anchors[0].kind = EvidenceKind::Tpm;
        }),
        ("an image that is pinned alone", Code::ImageUnknown, |case| {
            case.pin.images = Some(vec![image("first", 10)]);
            case.policy.images.remove(0);
        }),
    ]);
}

#[test]
fn what_is_pinned_and_published_counts() {
    let mut case = Case::valid();
    case.pin.images = Some(vec![image("by another name", 10)]);
    let effective = case.effective().unwrap();
    assert_eq!(effective.wider_than_pin(), ["second"]);
    assert_eq!(case.verdict().unwrap().summary().image, "by another name");
}

#[test]
fn nothing_but_awss_root_makes_an_enclave_more_than_simulated() {
    for is_vendor in [false, true] {
        let mut case = Case::valid();
        case.pin.anchors = vec![PinnedAnchor { anchor: anchor(&LAB.authority), vendor: is_vendor }];
        assert_eq!(case.verdict().unwrap().summary().class, Class::Simulated);
    }
    assert_ne!(Fingerprint::of(LAB.authority.certificate()), AWS_NITRO_ROOT);
}

#[test]
fn a_policy_that_was_changed_or_is_none_is_refused() {
    let case = Case::valid();
    let take = |signed: Signed<Policy>| {
        let effective = EffectivePolicy::new(case.pin.clone(), signed, None, NOW);
        effective.map(drop).map_err(|refused| refused.code)
    };
    assert_eq!(take(case.signed()), Ok(()));
    let mut changed = case.signed();
    changed.payload = changed.payload.replace("\"epoch\":3", "\"epoch\":4");
    assert_eq!(take(changed), Err(Code::PolicySignature));
    let mut spaced = case.signed();
    spaced.payload.push(' ');
    assert_eq!(take(spaced), Err(Code::PolicySignature));
    for text in ["", "{}", "[]", "{\"version\":2}"] {
        let mut none = case.signed();
        none.payload = text.to_owned();
        assert_eq!(take(none), Err(Code::PolicyMalformed), "{text}");
    }
}

#[test]
fn a_pin_is_read_as_it_is_written() {
    let mut case = Case::valid();
    case.pin.images = Some(vec![image("first", 10)]);
    case.pin.anchors[0].vendor = true;
    let text = serde_json::to_string(&case.pin).unwrap();
    assert_eq!(serde_json::from_str::<attestation::Pin>(&text).unwrap(), case.pin);
    let identity = Bytes(identity().verifying_key().to_bytes().to_vec());
    let short = format!("{{\"identity\":{}}}", serde_json::to_string(&identity).unwrap());
    assert!(serde_json::from_str::<attestation::Pin>(&short).is_ok());
    assert!(serde_json::from_str::<attestation::Pin>(&short.replace('}', ",\"x\":1}")).is_err());
}
