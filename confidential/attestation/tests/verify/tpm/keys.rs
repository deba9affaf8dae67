//! The attestation key and the node's key: what they may do, and what they are bound to.

use std::sync::LazyLock;

use attestation::{Class, Code, PinnedAnchor};
use attester::tpm::{
    self, Attest, AttestationKey, Public,
    attribute::{
        ADMIN_WITH_POLICY, DECRYPT, ENCRYPTED_DUPLICATION, FIXED_PARENT, FIXED_TPM, NO_DA,
        RESTRICTED, SENSITIVE_DATA_ORIGIN, SIGN, ST_CLEAR, USER_WITH_AUTH,
    },
};
use aws_lc_rs::rsa::KeySize;
use confidential_api::policy::{EvidenceKind, RekKind};

use super::bench::{AK, KEYS, REK, TpmCase, anchor, point, registers, set, try_all};

/// `TPM_ALG_RSAPSS`.
const RSAPSS: u16 = 0x0016;
/// `TPM_ALG_ECDSA`.
const ECDSA: u16 = 0x0018;
/// `TPM_ALG_SHA384`.
const SHA384: u16 = 0x000c;
/// `TPM_ALG_KDF1_SP800_56A`.
const KDF: u16 = 0x0020;
/// AES of 128 bits in CFB, as a cipher is written.
const CIPHER: [u16; 3] = [0x0006, 128, 0x0043];
/// `TPM_ECC_NIST_P384`.
const P384: u16 = 0x0004;
/// `TPM_ECC_BN_P256`: another curve whose coordinates have 32 bytes.
const BN_P256: u16 = 0x0010;

static LARGER: LazyLock<AttestationKey> =
    LazyLock::new(|| AttestationKey::of_size(KeySize::Rsa3072).unwrap());

/// Changes the attestation key, which policy and home know so.
fn ak(case: &mut TpmCase, edit: impl FnOnce(&mut Public)) {
    edit(&mut case.claims.ak);
    case.anchor_ak();
}

/// Changes the node's key, which its TPM certifies so.
fn rek(case: &mut TpmCase, edit: impl FnOnce(&mut Public)) {
    edit(&mut case.claims.rek);
    case.certify_again();
}

fn ak_parameters(words: &[u16], exponent: u32) -> Vec<u8> {
    [tpm::words(words), exponent.to_be_bytes().to_vec()].concat()
}

#[test]
fn attestation_keys_that_nobody_knows_are_refused() {
    try_all(&[
        ("unknown", Code::UnknownRoot, |case| {
            case.claims.ak = KEYS[1].public();
            case.key = &KEYS[1];
        }),
        ("known by its modulus alone", Code::UnknownRoot, |case| {
            case.claims.ak.attributes |= NO_DA;
        }),
        ("published alone", Code::PolicyWiderThanPin, |case| case.by.pin.anchors.clear()),
        ("pinned alone", Code::UnknownRoot, |case| case.by.policy.anchors.clear()),
        ("published for enclaves", Code::UnknownRoot, |case| {
            case.by.policy.anchors[0].kind = EvidenceKind::Nitro;
        }),
        ("pinned for enclaves", Code::PolicyWiderThanPin, |case| {
            case.by.pin.anchors[0].anchor.kind = EvidenceKind::Nitro;
        }),
    ]);
}

#[test]
fn attestation_keys_of_other_attributes_are_refused() {
    try_all(&[
        ("not restricted", Code::AkAttributes, |case| ak(case, |ak| ak.attributes ^= RESTRICTED)),
        ("not fixed to its TPM", Code::AkAttributes, |case| {
            ak(case, |ak| ak.attributes ^= FIXED_TPM)
        }),
        ("not fixed to its parent", Code::AkAttributes, |case| {
            ak(case, |ak| ak.attributes ^= FIXED_PARENT);
        }),
        ("of a secret from elsewhere", Code::AkAttributes, |case| {
            ak(case, |ak| ak.attributes ^= SENSITIVE_DATA_ORIGIN);
        }),
        ("not signing", Code::AkAttributes, |case| ak(case, |ak| ak.attributes ^= SIGN)),
        ("decrypting too", Code::AkAttributes, |case| ak(case, |ak| ak.attributes |= DECRYPT)),
        ("with an attribute that there is not", Code::AkAttributes, |case| {
            ak(case, |ak| ak.attributes |= 1 << 31);
        }),
    ]);
}

#[test]
fn attestation_keys_of_other_algorithms_are_refused() {
    try_all(&[
        ("of 3,072 bits", Code::Algorithm, |case| {
            case.key = &LARGER;
            ak(case, |ak| *ak = LARGER.public());
        }),
        ("of 3,072 bits, said to be 2,048", Code::Algorithm, |case| {
            case.key = &LARGER;
            let parameters = case.claims.ak.parameters.clone();
            ak(case, |ak| *ak = Public { parameters, ..LARGER.public() });
        }),
        ("of 2,048 bits, said to be 1,024", Code::Algorithm, |case| {
            let words = [tpm::NULL, tpm::RSASSA, tpm::SHA256, 1024];
            ak(case, |ak| ak.parameters = ak_parameters(&words, 0));
        }),
        ("with another exponent", Code::Algorithm, |case| {
            let words = [tpm::NULL, tpm::RSASSA, tpm::SHA256, 2048];
            ak(case, |ak| ak.parameters = ak_parameters(&words, 3));
        }),
        ("with an exponent of four bytes that ends as the usual one", Code::Algorithm, |case| {
            let words = [tpm::NULL, tpm::RSASSA, tpm::SHA256, 2048];
            ak(case, |ak| ak.parameters = ak_parameters(&words, 0x0101_0001));
        }),
        ("RSAPSS", Code::Algorithm, |case| {
            let words = [tpm::NULL, RSAPSS, tpm::SHA256, 2048];
            ak(case, |ak| ak.parameters = ak_parameters(&words, 0));
        }),
        ("SHA-384", Code::Algorithm, |case| {
            let words = [tpm::NULL, tpm::RSASSA, SHA384, 2048];
            ak(case, |ak| ak.parameters = ak_parameters(&words, 0));
        }),
        ("of any scheme", Code::Algorithm, |case| {
            ak(case, |ak| ak.parameters = ak_parameters(&[tpm::NULL, tpm::NULL, 2048], 0));
        }),
        ("with a cipher", Code::Algorithm, |case| {
            let words = [&CIPHER[..], &[tpm::RSASSA, tpm::SHA256, 2048]].concat();
            ak(case, |ak| ak.parameters = ak_parameters(&words, 0));
        }),
        ("named by SHA-384", Code::Algorithm, |case| ak(case, |ak| ak.name_algorithm = SHA384)),
        ("on an elliptic curve", Code::Algorithm, |case| {
            ak(case, |ak| {
                ak.algorithm = tpm::ECC;
                ak.parameters = tpm::words(&[tpm::NULL, ECDSA, tpm::SHA256, tpm::P256, tpm::NULL]);
                ak.unique = Public::rek(&point(0), &[]).unique;
            });
        }),
    ]);
}

#[test]
fn an_attestation_key_may_be_used_by_whom_its_owner_says() {
    for attributes in [ST_CLEAR, ADMIN_WITH_POLICY, NO_DA] {
        let mut case = TpmCase::valid();
        ak(&mut case, |ak| ak.attributes |= attributes);
        case.verdict().unwrap();
    }
    let mut case = TpmCase::valid();
    ak(&mut case, |ak| {
        ak.attributes ^= USER_WITH_AUTH;
        ak.policy = vec![7; 32];
        let words = [tpm::NULL, tpm::RSASSA, tpm::SHA256, 2048];
        ak.parameters = ak_parameters(&words, 65_537);
    });
    case.verdict().unwrap();
}

#[test]
fn a_nodes_key_of_other_attributes_is_refused() {
    try_all(&[
        ("used by who knows its secret", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes |= USER_WITH_AUTH);
        }),
        ("administered without its policy", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes ^= ADMIN_WITH_POLICY);
        }),
        ("signing too", Code::RekAttributes, |case| rek(case, |rek| rek.attributes |= SIGN)),
        ("not decrypting", Code::RekAttributes, |case| rek(case, |rek| rek.attributes ^= DECRYPT)),
        ("restricted", Code::RekAttributes, |case| rek(case, |rek| rek.attributes |= RESTRICTED)),
        ("not fixed to its TPM", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes ^= FIXED_TPM);
        }),
        ("not fixed to its parent", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes ^= FIXED_PARENT);
        }),
        ("of a secret from elsewhere", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes ^= SENSITIVE_DATA_ORIGIN);
        }),
        ("leaving encrypted", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes |= ENCRYPTED_DUPLICATION);
        }),
        ("with an attribute that there is not", Code::RekAttributes, |case| {
            rek(case, |rek| rek.attributes |= 1);
        }),
        ("for ECDSA", Code::RekAttributes, |case| {
            let words = [tpm::NULL, ECDSA, tpm::SHA256, tpm::P256, tpm::NULL];
            rek(case, |rek| rek.parameters = tpm::words(&words));
        }),
        ("for ECDH with SHA-384", Code::RekAttributes, |case| {
            let words = [tpm::NULL, tpm::ECDH, SHA384, tpm::P256, tpm::NULL];
            rek(case, |rek| rek.parameters = tpm::words(&words));
        }),
        ("with a cipher", Code::RekAttributes, |case| {
            let words = [&CIPHER[..], &[tpm::ECDH, tpm::SHA256, tpm::P256, tpm::NULL]].concat();
            rek(case, |rek| rek.parameters = tpm::words(&words));
        }),
        ("with a key derivation", Code::RekAttributes, |case| {
            let words = [tpm::NULL, tpm::ECDH, tpm::SHA256, tpm::P256, KDF, tpm::SHA256];
            rek(case, |rek| rek.parameters = tpm::words(&words));
        }),
        ("named by SHA-384", Code::RekAttributes, |case| {
            rek(case, |rek| rek.name_algorithm = SHA384)
        }),
    ]);
}

#[test]
fn a_nodes_key_may_be_of_any_scheme_and_uncounted() {
    let mut case = TpmCase::valid();
    rek(&mut case, |rek| {
        rek.attributes |= NO_DA;
        rek.parameters = tpm::words(&[tpm::NULL, tpm::NULL, tpm::P256, tpm::NULL]);
    });
    case.verdict().unwrap();
}

#[test]
fn a_nodes_key_under_another_policy_is_refused() {
    try_all(&[
        ("none", Code::RekPolicy, |case| rek(case, |rek| rek.policy.clear())),
        ("of zeros", Code::RekPolicy, |case| rek(case, |rek| rek.policy = vec![0; 32])),
        ("of other values", Code::RekPolicy, |case| {
            rek(case, |rek| rek.policy = tpm::pcr_policy(&registers(40)));
        }),
        ("of fewer registers", Code::RekPolicy, |case| {
            let mut fewer = registers(10);
            fewer.remove(&12);
            rek(case, |rek| rek.policy = tpm::pcr_policy(&fewer));
        }),
        ("of more registers", Code::RekPolicy, |case| {
            let mut more = registers(10);
            more.insert(7, vec![7; 32]);
            rek(case, |rek| rek.policy = tpm::pcr_policy(&more));
        }),
        ("with more behind it", Code::RekPolicy, |case| rek(case, |rek| rek.policy.push(0))),
    ]);
}

#[test]
fn a_nodes_key_that_is_not_the_certified_one_is_refused() {
    try_all(&[
        ("another key", Code::KeyNotBound, |case| {
            let policy = case.claims.rek.policy.clone();
            case.claims.rek = Public::rek(&point(1), &policy);
        }),
        ("the same with another attribute", Code::KeyNotBound, |case| {
            case.claims.rek.attributes |= NO_DA;
        }),
        ("no name certified", Code::KeyNotBound, |case| {
            let extra_data = case.claims.creation.extra_data.clone();
            case.claims.creation = Attest::creation(&extra_data, &[]);
        }),
        ("its name by another algorithm", Code::KeyNotBound, |case| {
            let name = [&SHA384.to_be_bytes()[..], &case.claims.rek.name()[2..]].concat();
            let extra_data = case.claims.creation.extra_data.clone();
            case.claims.creation = Attest::creation(&extra_data, &name);
        }),
        ("the name of another key beside it", Code::KeyName, |case| {
            let policy = case.claims.rek.policy.clone();
            let name = Public::rek(&point(1), &policy).name();
            set(case, |it| it.0[REK].signature = name);
        }),
        ("no name beside it", Code::KeyName, |case| set(case, |it| it.0[REK].signature.clear())),
        ("no name beside the attestation key", Code::KeyName, |case| {
            set(case, |it| it.0[AK].signature.clear());
        }),
        ("a name with more behind it", Code::KeyName, |case| {
            set(case, |it| it.0[AK].signature.push(0));
        }),
    ]);
}

#[test]
fn a_nodes_key_of_another_kind_is_refused() {
    try_all(&[
        ("on P-384", Code::RekKind, |case| {
            let words = [tpm::NULL, tpm::ECDH, tpm::SHA256, P384, tpm::NULL];
            rek(case, |rek| rek.parameters = tpm::words(&words));
        }),
        ("on a curve of the same size", Code::RekKind, |case| {
            let words = [tpm::NULL, tpm::ECDH, tpm::SHA256, BN_P256, tpm::NULL];
            rek(case, |rek| rek.parameters = tpm::words(&words));
        }),
        ("RSA", Code::RekKind, |case| {
            let policy = case.claims.rek.policy.clone();
            let attributes = case.claims.rek.attributes;
            rek(case, |rek| *rek = Public { policy, attributes, ..KEYS[1].public() });
        }),
        ("of an image whose key is X-Wing", Code::RekKind, |case| {
            case.by.policy.images[0].rek = RekKind::XWing;
        }),
        ("no point of its curve", Code::Malformed, |case| {
            rek(case, |rek| *rek.unique.last_mut().unwrap() ^= 1);
        }),
        ("the point at infinity", Code::Malformed, |case| {
            rek(case, |rek| rek.unique = vec![0; 4]);
        }),
        ("a coordinate without its zeros", Code::Malformed, |case| {
            rek(case, |rek| {
                rek.unique.remove(2);
                rek.unique[1] -= 1;
            });
        }),
    ]);
}

#[test]
fn only_a_pin_that_says_so_makes_a_tpm_more_than_simulated() {
    for (pinned, published) in [(true, Class::Tpm), (false, Class::Simulated)] {
        let mut case = TpmCase::valid();
        case.by.pin.anchors =
            vec![PinnedAnchor { anchor: anchor(&case.claims.ak), vendor: pinned }];
        case.by.policy.simulated = !pinned;
        case.by.simulated = !pinned;
        case.boots();
        assert_eq!(case.verdict().unwrap().summary().class, published);
    }
}

#[test]
fn simulated_evidence_needs_both_consents() {
    try_all(&[
        ("the policy's", Code::SimulatedByPolicy, |case| case.by.policy.simulated = false),
        ("the home's", Code::SimulatedByHome, |case| case.by.simulated = false),
        ("of a vendor's TPM that the home pins as one of its own", Code::SimulatedByHome, |case| {
            case.by.pin.anchors[0].vendor = false;
            case.by.simulated = false;
        }),
    ]);
}
