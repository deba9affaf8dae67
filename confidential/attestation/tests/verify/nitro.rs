//! Documents of an enclave.

use attestation::{Class, Code, MAX_AGE, MAX_NONCES, SKEW, bound_nonce};
use attester::{Authority, Chain, Fault, Lifetime, nsm::Module};
use ciborium::Value;
use confidential_api::evidence::EvidenceType;
use confidential_envelope::inner::Candidate as _;

use crate::bench::{
    Case, LAB, MODULE, NONCE, NOW, image, key_config, lifetime, node, sha256, try_all,
};

/// P-256's base point, uncompressed.
const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// Signs by this chain from now on.
fn use_chain(case: &mut Case, chain: Chain) {
    let chain: &'static Chain = Box::leak(Box::new(chain));
    case.claims.certificate.clone_from(&chain.certificate);
    case.claims.cabundle.clone_from(&chain.bundle);
    case.key = &chain.key;
}

fn leaf_of(case: &mut Case, not_before: u64, not_after: u64) {
    use_chain(case, LAB.authority.chain(MODULE, Lifetime { not_before, not_after }).unwrap());
}

fn faulty_chain(case: &mut Case, fault: Fault) {
    use_chain(case, LAB.authority.faulty_chain(MODULE, lifetime(), fault).unwrap());
}

/// Changes the parts of the document after it was signed.
fn parts(case: &mut Case, edit: fn(&mut Vec<Value>)) {
    case.set = Some(Box::new(move |evidence| {
        let document = &mut evidence.0[0].data;
        let Value::Array(mut parts) = ciborium::de::from_reader(document.as_slice()).unwrap()
        else {
            panic!("no array");
        };
        edit(&mut parts);
        document.clear();
        ciborium::ser::into_writer(&Value::Array(parts), document).unwrap();
    }));
}

fn fields(case: &mut Case, edit: fn(&mut Vec<(Value, Value)>)) {
    case.fields = Some(Box::new(edit));
}

fn set_field(case: &mut Case, name: &'static str, value: Value) {
    case.fields = Some(Box::new(move |fields| {
        fields.iter_mut().find(|(key, _)| key.as_text() == Some(name)).unwrap().1 = value;
    }));
}

#[test]
fn valid_evidence_is_fit_and_says_what_stood_behind_it() {
    let fit = Case::valid().verdict().unwrap();

    let summary = fit.summary();
    assert_eq!((summary.class, summary.image.as_str()), (Class::Simulated, "first"));
    assert_eq!((summary.attested_at, summary.policy_epoch), (Some(NOW), 3));
    assert_eq!((fit.id(), fit.rek().public().to_bytes()), (node(), key_config(1)[6..].to_vec()));
    assert!(fit.serves("smollm2") && !fit.serves("other"));
}

#[test]
fn what_the_stand_in_module_signs_is_fit() {
    let mut case = Case::valid();
    let [key, certificate] = [LAB.authority.key_pem(), LAB.authority.certificate_pem()];
    let authority = Authority::from_pem(&key, &certificate).unwrap();
    let mut module = Module::new(MODULE.to_owned(), authority, &case.claims.pcrs).unwrap();
    let data = |bytes: &Option<Vec<u8>>| Value::Bytes(bytes.clone().unwrap());
    let fields = [
        ("user_data", data(&case.claims.user_data)),
        ("nonce", data(&case.claims.nonce)),
        ("public_key", Value::Null),
    ];
    let fields = fields.map(|(name, value)| (Value::from(name), value)).to_vec();
    let request = Value::Map(vec![("Attestation".into(), Value::Map(fields))]);
    let mut bytes = Vec::new();
    ciborium::ser::into_writer(&request, &mut bytes).unwrap();

    let answer = module.handle(&bytes, NOW);

    let answer: Value = ciborium::de::from_reader(answer.as_slice()).unwrap();
    let document = answer.as_map().unwrap()[0].1.as_map().unwrap()[0].1.as_bytes().unwrap().clone();
    case.set = Some(Box::new(|evidence| evidence.0[0].data = document));
    case.verdict().unwrap();
}

#[test]
fn a_verification_ends() {
    let fit = Case::valid().verdict().unwrap();
    let [minute, day] = [60, 24 * 60 * 60].map(std::time::Duration::from_secs);
    assert!(fit.holds(minute, NOW) && fit.holds(minute, NOW + 999));
    assert!(!fit.holds(minute, NOW + 1000), "the policy's time is over");
    assert!(!fit.holds(minute, NOW - 1), "the clock was set back");
    let mut case = Case::valid();
    case.policy.not_after = u64::MAX;
    let fit = case.verdict().unwrap();
    assert!(fit.holds(minute, NOW + 59_999) && !fit.holds(minute, NOW + 60_000));
    assert!(fit.holds(day, NOW + 60_000));
}

#[test]
fn several_clients_share_a_document() {
    let mut case = Case::valid();
    case.nonces = [[1; 32], [2; 32], NONCE].concat();
    case.claims.nonce = Some(bound_nonce(&case.nonces).to_vec());
    case.verdict().unwrap();
}

#[test]
fn time_is_refused() {
    try_all(&[
        ("too old", Code::TooOld, |case| {
            case.claims.timestamp = NOW - MAX_AGE.as_millis() as u64 - 1;
        }),
        ("from the future", Code::FromTheFuture, |case| {
            case.claims.timestamp = NOW + SKEW.as_millis() as u64 + 1;
        }),
        ("leaf expired since the document was made", Code::LeafExpired, |case| {
            leaf_of(case, NOW / 1000 - 9, NOW / 1000 - 1);
            case.claims.timestamp = NOW - 2000;
        }),
        ("leaf not yet valid", Code::NotYetValid, |case| {
            leaf_of(case, NOW / 1000 + 1, NOW / 1000 + 9);
        }),
    ]);
}

#[test]
fn nonces_are_refused() {
    try_all(&[
        ("absent in the document", Code::NonceAbsent, |case| case.claims.nonce = None),
        ("nobody asked", Code::NonceAbsent, |case| {
            case.set = Some(Box::new(|evidence| drop(evidence.0.remove(1))));
        }),
        ("an empty set", Code::NonceAbsent, |case| {
            case.nonces.clear();
            case.claims.nonce = Some(bound_nonce(&[]).to_vec());
        }),
        ("somebody else's", Code::NonceOther, |case| {
            case.nonces = vec![8; 32];
            case.claims.nonce = Some(bound_nonce(&case.nonces).to_vec());
        }),
        ("reused: evidence of an earlier question", Code::NonceOther, |case| case.asked = [9; 32]),
        ("ours in the set, another in the document", Code::NonceOther, |case| {
            case.claims.nonce = Some(bound_nonce(&[8; 32]).to_vec());
        }),
        ("ours in the document, but as it is", Code::NonceOther, |case| {
            case.claims.nonce = Some(NONCE.to_vec());
        }),
        ("ours across two others", Code::NonceOther, |case| {
            case.nonces = [[7; 16], [7; 16], [0; 16], [0; 16]].concat();
            case.nonces.rotate_left(8);
            case.claims.nonce = Some(bound_nonce(&case.nonces).to_vec());
        }),
        ("a set that is no multiple of 32", Code::NonceOther, |case| {
            case.nonces.push(7);
            case.claims.nonce = Some(bound_nonce(&case.nonces).to_vec());
        }),
        ("more than share a document", Code::NonceOther, |case| {
            case.nonces = NONCE.repeat(MAX_NONCES + 1);
            case.claims.nonce = Some(bound_nonce(&case.nonces).to_vec());
        }),
    ]);
}

#[test]
fn chains_are_refused() {
    try_all(&[
        ("another root", Code::UnknownRoot, |case| {
            use_chain(case, LAB.stranger.chain(MODULE, lifetime()).unwrap());
        }),
        ("the root's certificate in front of another chain", Code::Chain, |case| {
            use_chain(case, LAB.stranger.chain(MODULE, lifetime()).unwrap());
            case.claims.cabundle[0] = LAB.authority.certificate().to_vec();
        }),
        ("an intermediate that is no authority", Code::IntermediateNotCa, |case| {
            faulty_chain(case, Fault::IntermediateIsNoAuthority);
        }),
        ("a leaf that was made for something else", Code::Chain, |case| {
            faulty_chain(case, Fault::LeafIsForTls);
        }),
        ("no intermediate", Code::Chain, |case| case.claims.cabundle.truncate(1)),
        ("the root as its own leaf", Code::Chain, |case| {
            case.claims.certificate = case.claims.cabundle[0].clone();
        }),
        ("the leaf of another chain", Code::Chain, |case| {
            case.claims.certificate.clone_from(&LAB.strangers_chain.certificate);
            case.key = &LAB.strangers_chain.key;
        }),
    ]);
}

#[test]
fn signatures_are_refused() {
    try_all(&[
        ("by another key", Code::Signature, |case| case.key = &LAB.strangers_chain.key),
        ("cut", Code::Signature, |case| {
            parts(case, |parts| parts[3].as_bytes_mut().unwrap().truncate(95));
        }),
        ("of zeros", Code::Unsigned, |case| {
            parts(case, |parts| parts[3].as_bytes_mut().unwrap().fill(0));
        }),
        ("none", Code::Unsigned, |case| {
            parts(case, |parts| parts[3].as_bytes_mut().unwrap().clear());
        }),
        ("said to be ES256", Code::Algorithm, |case| case.protected = b"\xa1\x01\x26".to_vec()),
        ("said to be EdDSA", Code::Algorithm, |case| case.protected = b"\xa1\x01\x27".to_vec()),
        ("of no algorithm", Code::Algorithm, |case| case.protected = Vec::new()),
        ("with a critical header", Code::Algorithm, |case| {
            case.protected = b"\xa2\x01\x38\x22\x02\x81\x18\x2a".to_vec();
        }),
    ]);
}

#[test]
fn registers_are_refused() {
    try_all(&[
        ("zero in all that hold code", Code::DebugEnclave, |case| {
            (0..3).for_each(|index| drop(case.claims.pcrs.insert(index, vec![0; 48])));
        }),
        ("zero in one", Code::DebugEnclave, |case| {
            case.claims.pcrs.insert(1, vec![0; 48]);
        }),
        ("zero, as a policy has it", Code::DebugEnclave, |case| {
            for index in 0..3 {
                case.claims.pcrs.insert(index.into(), vec![0; 48]);
                case.policy.images[0].pcrs.0.insert(index, vec![0; 48]);
            }
        }),
        ("one that holds code is not there", Code::DebugEnclave, |case| {
            case.claims.pcrs.remove(&2);
        }),
        ("one byte of one changed", Code::ImageUnknown, |case| {
            case.claims.pcrs.get_mut(&16).unwrap()[47] ^= 1;
        }),
        ("one is not there", Code::ImageUnknown, |case| drop(case.claims.pcrs.remove(&16))),
        ("of two images", Code::ImageMixed, |case| {
            drop(case.claims.pcrs.insert(1, vec![41; 48]));
        }),
        ("an image without those of its code", Code::ImageUnknown, |case| {
            case.policy.images = vec![image("first", 10)];
            case.policy.images[0].pcrs.0.remove(&2);
            case.claims.pcrs.insert(2, vec![77; 48]);
        }),
        ("of an image without this model", Code::ModelNotServed, |case| case.model = "other"),
    ]);
}

#[test]
fn other_makers_are_refused() {
    try_all(&[
        ("a virtual machine's NitroTPM", Code::WrongKind, |case| {
            case.claims.module_id = "i-0123456789abcdef0-tpm0000000000000000".to_owned();
            fields(case, |fields| fields[3].0 = "nitrotpm_pcrs".into());
        }),
        ("its registers, as an enclave", Code::WrongKind, |case| {
            fields(case, |fields| fields[3].0 = "nitrotpm_pcrs".into());
        }),
        ("its name, as an enclave's registers", Code::WrongKind, |case| {
            case.claims.module_id = "i-0123456789abcdef0-tpm0000000000000000".to_owned();
        }),
        ("both kinds of registers", Code::Malformed, |case| {
            fields(case, |fields| fields.push(("nitrotpm_pcrs".into(), fields[3].1.clone())));
        }),
    ]);
}

#[test]
fn keys_are_refused() {
    try_all(&[
        ("named by nothing", Code::KeyNotBound, |case| case.claims.user_data = None),
        ("another one named", Code::KeyNotBound, |case| {
            case.claims.user_data = Some(sha256(&key_config(2)));
        }),
        ("named, and more", Code::KeyNotBound, |case| {
            case.claims.user_data.as_mut().unwrap().push(0);
        }),
        ("of another kind than the image's", Code::RekKind, |case| {
            case.key_config = [&[0, 0x10, 0, 1, 0, 1][..], &hex::decode(POINT).unwrap()].concat();
            case.claims.user_data = Some(sha256(&case.key_config));
        }),
        ("no point of its curve", Code::Malformed, |case| {
            case.key_config = [&[0, 0x10, 0, 1, 0, 1][..], &[4; 65]].concat();
            case.claims.user_data = Some(sha256(&case.key_config));
        }),
        ("of a KEM that no node has", Code::Malformed, |case| {
            case.key_config = [&[0, 0x20, 0, 1, 0, 1][..], &[9; 32]].concat();
            case.claims.user_data = Some(sha256(&case.key_config));
        }),
        ("of another suite", Code::Malformed, |case| {
            case.key_config[5] = 3;
            case.claims.user_data = Some(sha256(&case.key_config));
        }),
        ("too short", Code::Malformed, |case| {
            case.key_config.pop();
            case.claims.user_data = Some(sha256(&case.key_config));
        }),
    ]);
}

#[test]
fn other_forms_are_refused() {
    try_all(&[
        ("a field twice", Code::Malformed, |case| {
            fields(case, |fields| fields.push(fields[8].clone()));
        }),
        ("a register twice", Code::Malformed, |case| {
            fields(case, |fields| {
                let registers = fields[3].1.as_map_mut().unwrap();
                registers.push(registers[0].clone());
            });
        }),
        ("a field that nobody knows", Code::Malformed, |case| {
            fields(case, |fields| fields.push(("more".into(), 1.into())));
        }),
        ("a field that is not there", Code::Malformed, |case| {
            fields(case, |fields| drop(fields.remove(1)));
        }),
        ("bytes behind what is signed", Code::Malformed, |case| {
            case.payload = Some(Box::new(|payload| payload.push(0)));
        }),
        ("a map of indefinite length", Code::Malformed, |case| {
            case.payload = Some(Box::new(|payload| {
                payload[0] = 0xbf;
                payload.push(0xff);
            }));
        }),
        ("bytes behind the document", Code::Malformed, |case| {
            case.set = Some(Box::new(|evidence| evidence.0[0].data.push(0)));
        }),
        ("a tag around it", Code::Malformed, |case| {
            case.set = Some(Box::new(|evidence| evidence.0[0].data.insert(0, 0xd2)));
        }),
        ("something that is not protected", Code::Malformed, |case| {
            parts(case, |parts| parts[1] = Value::Map(vec![(4.into(), 1.into())]));
        }),
        ("five parts", Code::Malformed, |case| parts(case, |parts| parts.push(Value::Null))),
    ]);
}

#[test]
fn other_values_are_refused() {
    try_all(&[
        ("another digest", Code::Malformed, |case| set_field(case, "digest", "SHA512".into())),
        ("a negative time", Code::Malformed, |case| set_field(case, "timestamp", (-1).into())),
        ("no module", Code::Malformed, |case| case.claims.module_id.clear()),
        ("a module that would steer a terminal", Code::Malformed, |case| {
            case.claims.module_id.push('\u{1b}');
        }),
        ("a register too many", Code::Malformed, |case| {
            case.claims.pcrs.insert(32, vec![1; 48]);
        }),
        ("a register of 32 bytes", Code::Malformed, |case| {
            case.claims.pcrs.insert(5, vec![1; 32]);
        }),
        ("data that is too long", Code::Malformed, |case| {
            case.claims.user_data = Some(vec![0; 513]);
        }),
        ("a key that is too long", Code::Malformed, |case| {
            case.claims.public_key = Some(vec![0; 1025]);
        }),
        ("no certificate", Code::Malformed, |case| case.claims.certificate.clear()),
        ("no chain", Code::Malformed, |case| case.claims.cabundle.clear()),
        ("a chain of nine", Code::Malformed, |case| {
            case.claims.cabundle = vec![case.claims.cabundle[0].clone(); 9];
        }),
        ("more than 16 KiB", Code::Oversize, |case| {
            case.set = Some(Box::new(|evidence| evidence.0[0].data.resize(16 * 1024 + 1, 0)));
        }),
    ]);
}

#[test]
fn simulated_evidence_needs_both_consents() {
    try_all(&[
        ("the policy's", Code::SimulatedByPolicy, |case| case.policy.simulated = false),
        ("the home's", Code::SimulatedByHome, |case| case.simulated = false),
    ]);
}

#[test]
fn a_flipped_bit_in_any_byte_is_refused() {
    let mut case = Case::valid();
    let evidence = case.evidence();
    case.verdict_on(&evidence).unwrap();
    let len = evidence.0[0].data.len();
    for at in 0..len {
        let mut evidence = evidence.clone();
        assert_eq!(evidence.0[0].kind, EvidenceType::NITRO_DOCUMENT);
        evidence.0[0].data[at] ^= 1 << (at % 8);
        assert!(case.judge(&evidence).is_err(), "byte {at} of {len}");
    }
}
