//! Signed documents, seeds and settings.

use common::wire::{Bytes, Fixed, Version};
use confidential_api::{
    bundle::{Bundle, BundleKey},
    certificate::{Certificate, EPOCHS, Use},
    config::{Attestation, Config, ConfigVersion, Features, KeySource, Period},
    policy::{EvidenceKind, Image, Policy, Registers, RekKind},
    seeds,
    signed::{Document, PublicKey, Signed, SignedError},
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

const NOW: u64 = 1_795_000_000_000;
/// The first epoch of every certified key here.
const FIRST: u64 = 3;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(key: &SigningKey) -> PublicKey {
    Fixed(key.verifying_key().to_bytes())
}

fn identity() -> SigningKey {
    key(1)
}

fn certified(usage: Use, of: &SigningKey) -> Signed<Certificate> {
    let (not_before, not_after) = (NOW - 1000, NOW + 1000);
    let (version, key) = (Version, public(of));
    let certificate =
        Certificate { version, usage, key, not_before, not_after, first_epoch: FIRST };
    Signed::sign(&certificate, &identity(), None).unwrap()
}

fn bundle() -> Bundle {
    let key = |key_id, from| BundleKey {
        key_id,
        config: Bytes(vec![key_id, 0x64, 0x7a]),
        active_from: NOW + from,
        active_until: NOW + from + 100,
    };
    Bundle { version: Version, epoch: 3, keys: vec![key(7, 0), key(8, 50)] }
}

fn policy() -> Policy {
    let pcrs = Registers([(0, vec![1; 48]), (1, vec![2; 48])].into());
    let image = Image {
        name: "maru-compute".to_owned(),
        kind: EvidenceKind::Nitro,
        models: vec!["smollm2".to_owned()],
        pcrs,
        rek: RekKind::XWing,
    };
    Policy {
        version: Version,
        policy_id: "2026-11".to_owned(),
        epoch: 3,
        not_after: NOW + 1000,
        simulated: true,
        anchors: vec![],
        images: vec![image],
    }
}

fn config() -> Config {
    let bundle_key = key(2);
    let certificate = certified(Use::Bundle, &bundle_key);
    Config {
        version: ConfigVersion,
        features: Features { ohttp: true, real_attestation: true },
        relay_urls: vec!["https://relay:3100".to_owned()],
        gateway_url: "https://gateway:3200".to_owned(),
        router_url: "https://router:3600".to_owned(),
        ohttp_key_configs_bundle: vec![0, 3, 7, 0x64, 0x7a],
        ohttp_key_rotation_periods: vec![Period {
            key_id: 7,
            active_from: NOW,
            active_until: NOW + 100,
        }],
        attestation: Attestation {
            policy_id: "2026-11".to_owned(),
            allowed_images: Signed::sign(&policy(), &identity(), None).unwrap(),
            verifier_hints: vec![],
        },
        epoch: 12,
        key_source: KeySource::Gateway,
        bundle: Some(Signed::sign(&bundle(), &bundle_key, Some(certificate)).unwrap()),
    }
}

#[test]
fn documents_are_signed_and_verified() {
    let (identity, config_key) = (public(&identity()), key(3));
    let certificate = certified(Use::Config, &config_key);
    let signed = Signed::sign(&config(), &config_key, Some(certificate)).unwrap();

    // As auth serves it: the body is the text, the rest comes in headers.
    let certificate = signed.certificate.as_ref().unwrap().to_header();
    let (body, signature) = (signed.payload.clone(), signed.signature.to_string());
    let certificate = Signed::from_header(&certificate).unwrap();
    let received =
        Signed::<Config>::from_parts(body, signature.parse().unwrap(), Some(certificate));
    assert_eq!(received, signed);

    let read = received.verify(&identity, NOW).unwrap();
    assert_eq!(read, config());
    assert!(signed.payload.contains("\"active_from\":\"2026-11-18T"), "{}", signed.payload);
    assert_eq!(read.bundle.unwrap().verify(&identity, NOW).unwrap(), bundle());
    let policy_read = read.attestation.allowed_images.verify(&identity, NOW).unwrap();
    assert_eq!(policy_read, policy());
    let again = Signed::<Policy>::parse(read.attestation.allowed_images.to_json().as_bytes());
    assert_eq!(again.unwrap(), read.attestation.allowed_images);
}

#[test]
fn whoever_else_signs_is_refused() {
    let (known, bundle_key) = (public(&identity()), key(2));
    let certificate = certified(Use::Bundle, &bundle_key);
    let sign = |by: &SigningKey, certificate| Signed::sign(&bundle(), by, certificate).unwrap();
    let good = sign(&bundle_key, Some(certificate.clone()));
    assert!(good.verify(&known, NOW).is_ok());

    // Each changes one thing.
    let cases: [(&str, Signed<Bundle>, u64); 7] = [
        ("another key", sign(&key(9), Some(certificate.clone())), NOW),
        ("no certificate", sign(&bundle_key, None), NOW),
        ("the identity itself", sign(&identity(), None), NOW),
        ("for something else", sign(&bundle_key, Some(certified(Use::Config, &bundle_key))), NOW),
        ("too early", good.clone(), NOW - 1001),
        ("too late", good.clone(), NOW + 1000),
        (
            "changed",
            Signed::from_parts(
                good.payload.replace(":3", ":4"),
                good.signature,
                Some(certificate.clone()),
            ),
            NOW,
        ),
    ];
    for (what, signed, now) in cases {
        assert!(signed.verify(&known, now).is_err(), "{what}");
    }
    assert!(good.verify(&public(&key(8)), NOW).is_err(), "another identity");

    // The same bytes as another kind of document.
    let policy_text = serde_json::to_string(&policy()).unwrap();
    let elsewhere = Signed::<Policy>::from_parts(policy_text, good.signature, Some(certificate));
    assert!(matches!(elsewhere.verify(&known, NOW), Err(SignedError::Certificate("policy"))));
    let as_certificate = Signed::sign(&policy(), &identity(), None).unwrap();
    let other =
        Signed::<Certificate>::from_parts(as_certificate.payload, as_certificate.signature, None);
    assert!(matches!(other.verify(&known, NOW), Err(SignedError::Signature("certificate"))));
}

/// A key that somebody took may use up its own epochs, and none of the key that follows it.
#[test]
fn a_certified_key_has_epochs_of_its_own() {
    let (known, bundle_key) = (public(&identity()), key(2));
    let certificate = certified(Use::Bundle, &bundle_key);
    let taken = |epoch| {
        let bundle = Bundle { epoch, ..bundle() };
        let signed = Signed::sign(&bundle, &bundle_key, Some(certificate.clone())).unwrap();
        match signed.verify(&known, NOW) {
            Ok(_) => true,
            Err(SignedError::CertifiedForElse("bundle")) => false,
            Err(error) => panic!("{error}"),
        }
    };
    for (epoch, is_taken) in [
        (0, false),
        (FIRST - 1, false),
        (FIRST, true),
        (FIRST + EPOCHS - 1, true),
        (FIRST + EPOCHS, false),
        (u64::MAX, false),
    ] {
        assert_eq!(taken(epoch), is_taken, "{epoch}");
    }
    let first = Certificate::first_epoch_at;
    assert!(first(NOW + 1000) >= first(NOW) + EPOCHS, "made a second later, none is in both");
    assert!(first(NOW * 4) < 1 << 53, "JSON has a form for it");
    // One of before there were epochs in certificates.
    let mut text =
        serde_json::to_value(serde_json::from_str::<Certificate>(&certificate.payload).unwrap())
            .unwrap();
    text.as_object_mut().unwrap().remove("first_epoch");
    let old: Certificate = serde_json::from_value(text).unwrap();
    assert_eq!(old.epochs(), 0..EPOCHS);
}

#[test]
fn unknown_versions_are_refused_by_name_and_unknown_fields_are_left_alone() {
    fn signed(text: &str) -> Result<Policy, SignedError> {
        // Signed as it stands, without a look at it.
        let message = [b"maru-confidential/1 policy\0".as_slice(), text.as_bytes()].concat();
        let signature = ed25519_dalek::Signer::sign(&identity(), &message).to_bytes();
        Signed::<Policy>::from_parts(text.to_owned(), Fixed(signature), None)
            .verify(&public(&identity()), NOW)
    }
    let mut value = serde_json::to_value(policy()).unwrap();
    value["more"] = true.into();
    assert_eq!(signed(&value.to_string()).unwrap(), policy());
    value["version"] = 2.into();
    let error = signed(&value.to_string()).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");

    let text = serde_json::to_string(&policy()).unwrap();
    let twice = text.replace("\"pcrs\":{", "\"pcrs\":{\"0\":\"00\",");
    assert!(signed(&twice).is_err(), "a register is there twice");
    assert!(signed(&text.replace("\"1\":", "\"32\":")).is_err(), "there is no such register");

    let error = serde_json::from_str::<ConfigVersion>("\"0.003\"").unwrap_err();
    assert!(error.to_string().contains("0.003"), "{error}");
}

#[test]
fn what_cannot_be_is_neither_signed_nor_taken() {
    let wrong = |change: fn(&mut Bundle)| {
        let mut bundle = bundle();
        change(&mut bundle);
        bundle.check().is_err()
    };
    assert!(bundle().check().is_ok());
    assert!(wrong(|bundle| bundle.keys.clear()));
    assert!(wrong(|bundle| bundle.keys = vec![bundle.keys[0].clone(); 2]));
    assert!(wrong(|bundle| bundle.keys[0].active_until = NOW));
    assert!(wrong(|bundle| bundle.keys[0].config = Bytes(vec![9])));

    let wrong = |change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        config.check().is_err()
    };
    assert!(config().check().is_ok());
    assert!(wrong(|config| config.relay_urls.clear()));
    assert!(wrong(|config| config.bundle = None));
    assert!(wrong(|config| config.key_source = KeySource::Seeds));

    let wrong = |change: fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        policy.check().is_err()
    };
    assert!(policy().check().is_ok());
    assert!(wrong(|policy| policy.images[0].models.clear()));
    assert!(wrong(|policy| policy.images[0].kind = EvidenceKind::Tpm));
    assert!(wrong(|policy| policy.policy_id.clear()));
}

#[test]
fn of_active_keys_the_newest_is_used() {
    let bundle = bundle();
    let active = |now| bundle.active(now).map(|key| key.key_id);
    assert_eq!(
        [NOW - 1, NOW, NOW + 49, NOW + 50, NOW + 149, NOW + 150].map(active),
        [None, Some(7), Some(7), Some(8), Some(8), None]
    );
}

fn seed(key_id: &str) -> String {
    let hex = "5eed".repeat(16);
    format!(
        r#"{{"key_id":{key_id},"seed_hex":"{hex}","active_from":"2026-01-01T00:00:00Z","active_until":"2027-01-01T00:00:00+09:00"}}"#
    )
}

#[test]
fn seeds_have_three_shapes() {
    let list = format!("[{},{}]", seed("1"), seed("\"0x10\""));
    for text in [
        list.clone(),
        format!(r#"{{"OHTTP_KEYS":{list}}}"#),
        format!(r#"{{"ohttp_seeds":{list}}}"#),
    ] {
        let seeds = seeds::parse(&text).unwrap();
        assert_eq!(seeds.iter().map(|seed| seed.key_id).collect::<Vec<_>>(), [1, 16]);
        assert_eq!(seeds[0].seed.len(), 32);
        assert_eq!(seeds[0].active_from, 1_767_225_600_000);
        assert!(!format!("{seeds:?}").contains("94"), "5e ed are 94 and 237");
    }
}

#[test]
fn a_key_id_is_hexadecimal_or_decimal() {
    for (written, id) in [
        ("\"0x0A\"", 10),
        ("\"10\"", 10),
        ("\"1a\"", 26),
        ("\"ff\"", 255),
        ("\"0xff\"", 255),
        ("7", 7),
        ("\"007\"", 7),
    ] {
        assert_eq!(
            seeds::parse(&format!("[{}]", seed(written))).unwrap()[0].key_id,
            id,
            "{written}"
        );
    }
    for written in [
        "256", "\"256\"", "\"100a\"", "\"\"", "\"0x\"", "\"-1\"", "\"+1\"", "\"g\"", "-1", "1.5",
        "null",
    ] {
        assert!(seeds::parse(&format!("[{}]", seed(written))).is_err(), "{written}");
    }
}

#[test]
fn there_is_no_seed_by_default_and_no_error_quotes_one() {
    let short = seed("1").replace("5eed5eed", "");
    let odd = seed("1").replace("5eed5eed", "5eex5eed");
    let ends = seed("1").replace("2027", "2025");
    let cases = [
        "",
        "[]",
        "{}",
        "null",
        "{\"OHTTP_KEYS\":[]}",
        &format!("[{short}]"),
        &format!("[{odd}]"),
        &format!("[{ends}]"),
        &format!("[{0},{0}]", seed("1")),
    ];
    for text in cases {
        let error = seeds::parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("5ee"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read(text in any::<String>()) {
        let _ = seeds::parse(&text);
        if let Ok(signed) = Signed::<Policy>::parse(text.as_bytes()) {
            prop_assert!(signed.verify(&public(&identity()), NOW).is_err());
        }
        prop_assert!(Signed::from_header(&text).is_err());
    }

    /// Nothing that was changed on its way is taken.
    #[test]
    fn a_changed_byte_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let signed = Signed::sign(&policy(), &identity(), None).unwrap();
        let mut bytes = signed.to_json().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = Signed::<Policy>::parse(&bytes) && changed != signed {
            prop_assert!(changed.verify(&public(&identity()), NOW).is_err());
        }
    }
}

#[test]
fn settings_refuse_what_they_do_not_know() {
    use confidential_api::settings::{auth, compute, gateway, relay, router};

    fn unknown<T: serde::de::DeserializeOwned + Default + PartialEq + std::fmt::Debug>() {
        assert_eq!(toml::from_str::<T>("").unwrap(), T::default());
        assert!(toml::from_str::<T>("surprise = 1").is_err());
    }
    unknown::<relay::Settings>();
    unknown::<gateway::Settings>();
    unknown::<router::Settings>();
    unknown::<auth::Settings>();
    unknown::<compute::Settings>();
}
