//! Evidence of a node, of an enclave or with a TPM: bytes from anywhere, and a genuine set that was changed on its way.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use attestation::{
    Challenge, EffectivePolicy, Expectations, Nonce, Pin, PinnedAnchor, bound_nonce, report, verify,
};
use attester::{
    Authority, Claims, Lifetime,
    tpm::{self, AttestationKey},
};
use common::wire::{Bytes, Fixed, Version};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    quote::TpmQuote,
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

/// P-256's base point: `x`, and `y`.
const POINT: [[u8; 32]; 2] = [
    *b"\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96",
    *b"\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5",
];

struct Genuine {
    evidence: EvidenceList,
    signed: Signed<Policy>,
    pin: Pin,
    effective: EffectivePolicy,
}

static ENCLAVE: LazyLock<Genuine> = LazyLock::new(|| {
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
    let certificate = Some(Bytes(authority.certificate().to_vec()));
    genuine(evidence, EvidenceKind::Nitro, certificate, None, registers, RekKind::XWing)
});

static TPM: LazyLock<Genuine> = LazyLock::new(|| {
    let key = AttestationKey::generate().unwrap();
    let registers: BTreeMap<u8, Vec<u8>> = [8, 12].map(|index| (index, vec![1; 32])).into();
    let point = POINT.concat().try_into().unwrap();
    let bound = bound_nonce(&NONCE);
    let claims = tpm::Claims::new(key.public(), &point, registers.clone(), &NONCE, &bound);
    let ak = Some(Bytes(claims.ak.write()));
    let evidence = claims.sign(&key).unwrap();
    genuine(evidence, EvidenceKind::Tpm, None, ak, registers, RekKind::P256)
});

/// This evidence, and a policy that takes it.
fn genuine(
    evidence: EvidenceList,
    kind: EvidenceKind,
    certificate: Option<Bytes>,
    key: Option<Bytes>,
    registers: BTreeMap<u8, Vec<u8>>,
    rek: RekKind,
) -> Genuine {
    let anchor = Anchor { name: "lab".to_owned(), kind, certificate, key };
    let image = Image {
        name: "image".to_owned(),
        kind,
        models: vec!["model".to_owned()],
        pcrs: Registers(registers),
        rek,
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
    let effective = EffectivePolicy::new(pin.clone(), signed.clone(), None, NOW).unwrap();
    Genuine { evidence, signed, pin, effective }
}

/// Fit or not; the report says the same.
fn is_fit(genuine: &Genuine, evidence: &EvidenceList) -> bool {
    let node = NodeId::new(Uuid::from_u128(0x7000_8000_0000_0000_0000)).unwrap();
    let asked =
        Challenge { node, model: "model", nonce: Nonce::from_bytes(NONCE), simulated: true };
    let verdict = verify(evidence, asked, &genuine.effective, NOW);
    let known = Expectations {
        model: Some("model"),
        nonce: Some(Nonce::from_bytes(NONCE)),
        simulated: Some(true),
    };
    let report = report(evidence, &known, &genuine.signed, Some(&genuine.pin), NOW).unwrap();
    assert_eq!(report.verdict(), verdict.as_ref().map(drop).map_err(|refused| *refused));
    verdict.is_ok()
}

/// The same pieces, of which a TPM's quote may have its registers in any order.
fn is_same(evidence: &EvidenceList, genuine: &EvidenceList) -> bool {
    let is_same_piece = |(one, other): (&EvidencePiece, &EvidencePiece)| {
        let quotes = [one, other].map(|piece| TpmQuote::decode(&piece.data).ok());
        let is_same_data =
            one.data == other.data || (quotes[0].is_some() && quotes[0] == quotes[1]);
        (one.kind, &one.signature) == (other.kind, &other.signature) && is_same_data
    };
    let mut pieces = [evidence.0.clone(), genuine.0.clone()];
    // Pieces may come in any order.
    pieces.iter_mut().for_each(|pieces| pieces.sort_by_key(|piece| piece.kind));
    pieces[0].len() == pieces[1].len() && pieces[0].iter().zip(&pieces[1]).all(is_same_piece)
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let what = input.byte() % 6;
    let genuine = if what < 3 { &*ENCLAVE } else { &*TPM };
    let mut evidence = genuine.evidence.clone();
    let at = if what % 3 == 1 || what == 3 { input.below(evidence.0.len()) } else { 0 };
    match what {
        0 | 3 => evidence.0[at].data = input.rest().to_vec(),
        1 => fuzz::edit(&mut evidence.0[at].data, input.rest()),
        4 => {
            let is_data = input.byte().is_multiple_of(2);
            let piece = &mut evidence.0[at];
            let part = if is_data { &mut piece.data } else { &mut piece.signature };
            fuzz::edit(part, input.rest());
        }
        _ => {
            let Ok(list) = EvidenceList::decode(input.rest()) else { return };
            evidence = list;
        }
    }
    assert_eq!(is_fit(genuine, &evidence), is_same(&evidence, &genuine.evidence), "{evidence:?}");
});
