//! Evidence of a node: bytes from anywhere, and a genuine set that was changed on its way.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use attestation::{Asked, Effective, Known, Nonce, Pin, PinnedAnchor, bound_nonce, report, verify};
use attester::{Authority, Claims, Lifetime};
use common::wire::{Bytes, Fixed, Version};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    signed::Signed,
};
use ed25519_dalek::SigningKey;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const NOW: u64 = 1_790_000_000_000;
const NONCE: [u8; 32] = [7; 32];
const MODULE: &str = "i-0123456789abcdef0-enc0123456789abcdef";

struct Genuine {
    evidence: EvidenceList,
    signed: Signed<Policy>,
    pin: Pin,
    effective: Effective,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let authority = Authority::generate().unwrap();
    let chain = authority.chain(MODULE, Lifetime::of_a_leaf(NOW / 1000)).unwrap();
    let key_config = [&[0x64, 0x7a, 0, 1, 0, 1][..], &[1; 1216]].concat();
    let registers: BTreeMap<u8, Vec<u8>> = [0, 1, 2].map(|index| (index, vec![1; 48])).into();
    let claims = Claims {
        module_id: MODULE.to_owned(),
        timestamp: NOW,
        pcrs: registers.iter().map(|(at, value)| (u16::from(*at), value.clone())).collect(),
        certificate: chain.certificate.clone(),
        cabundle: chain.bundle.clone(),
        public_key: None,
        user_data: Some(Sha256::digest(&key_config).to_vec()),
        nonce: Some(bound_nonce(&NONCE).to_vec()),
    };
    let piece = |kind, data| EvidencePiece { kind, data, signature: Vec::new() };
    let evidence = EvidenceList(vec![
        piece(EvidenceType::NITRO_DOCUMENT, claims.sign(&chain.key).unwrap()),
        piece(EvidenceType::NONCE_SET, NONCE.to_vec()),
        piece(EvidenceType::KEY_CONFIG, key_config),
    ]);
    let anchor = Anchor {
        name: "lab".to_owned(),
        kind: EvidenceKind::Nitro,
        certificate: Some(Bytes(authority.certificate().to_vec())),
        key: None,
    };
    let image = Image {
        name: "image".to_owned(),
        kind: EvidenceKind::Nitro,
        models: vec!["model".to_owned()],
        pcrs: Registers(registers),
        rek: RekKind::XWing,
    };
    let policy = Policy {
        version: Version,
        policy_id: "fuzz".to_owned(),
        epoch: 1,
        not_after: u64::MAX,
        simulated: true,
        anchors: vec![anchor.clone()],
        images: vec![image],
    };
    let identity = SigningKey::from_bytes(&[5; 32]);
    let signed = Signed::sign(&policy, &identity, None).unwrap();
    let pin = Pin {
        identity: Fixed(identity.verifying_key().to_bytes()),
        anchors: vec![PinnedAnchor { anchor, vendor: false }],
        images: None,
        min_epoch: 0,
    };
    let effective = Effective::new(pin.clone(), signed.clone(), None, NOW).unwrap();
    Genuine { evidence, signed, pin, effective }
});

/// Fit or not; the report says the same.
fn is_fit(genuine: &Genuine, evidence: &EvidenceList) -> bool {
    let node = NodeId::new(Uuid::from_u128(0x7000_8000_0000_0000_0000)).unwrap();
    let asked = Asked { node, model: "model", nonce: Nonce::from_bytes(NONCE), simulated: true };
    let verdict = verify(evidence, asked, &genuine.effective, NOW);
    let known = Known {
        model: Some("model"),
        nonce: Some(Nonce::from_bytes(NONCE)),
        simulated: Some(true),
    };
    let report = report(evidence, &known, &genuine.signed, Some(&genuine.pin), NOW).unwrap();
    assert_eq!(report.verdict(), verdict.as_ref().map(drop).map_err(|refused| *refused));
    verdict.is_ok()
}

fuzz_target!(|bytes: &[u8]| {
    let genuine = &*GENUINE;
    let mut input = Input::new(bytes);
    let mut evidence = genuine.evidence.clone();
    match input.byte() % 3 {
        0 => evidence.0[0].data = input.rest().to_vec(),
        1 => {
            let at = input.below(3);
            fuzz::edit(&mut evidence.0[at].data, input.rest());
        }
        _ => {
            let Ok(list) = EvidenceList::decode(input.rest()) else { return };
            evidence = list;
        }
    }
    assert_eq!(is_fit(genuine, &evidence), evidence == genuine.evidence, "{evidence:?}");
});
