//! Signed documents, and the nonces that evidence is asked for with.

use common::wire::{Bytes, Fixed, Version};
use confidential_api::{
    bundle::{Bundle, BundleKey},
    certificate::{Certificate, Use},
    config::{Attestation, Config, ConfigVersion, Features, KeySource, Period},
    policy::{EvidenceKind, Image, Policy, Registers, RekKind},
    signed::{Document, Signed},
};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ohttp::KeyConfig;

/// 2026-11-23, 00:00 UTC, in milliseconds since 1970.
const NOW: u64 = 1_795_392_000_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// The first epoch of both certified keys.
const FIRST: u64 = Certificate::first_epoch_at(NOW - DAY);

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn certificate(usage: Use, of: &SigningKey, identity: &SigningKey) -> Signed<Certificate> {
    let certificate = Certificate {
        version: Version,
        usage,
        key: Fixed(of.verifying_key().to_bytes()),
        not_before: NOW - DAY,
        not_after: NOW + 30 * DAY,
        first_epoch: FIRST,
    };
    Signed::sign(&certificate, identity, None).unwrap()
}

fn policy(identity: &SigningKey) -> Signed<Policy> {
    let image = |name: &str, kind, pcrs, rek| Image {
        name: name.to_owned(),
        kind,
        models: vec!["smollm2".to_owned()],
        pcrs: Registers(pcrs),
        rek,
    };
    let nitro = [(0, vec![0xa0; 48]), (1, vec![0xa1; 48]), (2, vec![0xa2; 48])];
    let tpm = [(8, vec![0xb8; 32]), (12, vec![0xbc; 32])];
    let policy = Policy {
        version: Version,
        policy_id: "2026-11".to_owned(),
        epoch: 3,
        not_after: NOW + 30 * DAY,
        simulated: false,
        anchors: Vec::new(),
        images: vec![
            image("maru-compute, enclave", EvidenceKind::Nitro, nitro.into(), RekKind::XWing),
            image("maru-compute, TPM", EvidenceKind::Tpm, tpm.into(), RekKind::P256),
        ],
    };
    Signed::sign(&policy, identity, None).unwrap()
}

fn bundle(configs: &[KeyConfig], key: &SigningKey, identity: &SigningKey) -> Signed<Bundle> {
    let keys = configs.iter().map(|config| BundleKey {
        key_id: config.key_id(),
        config: Bytes(config.encode()),
        active_from: NOW,
        active_until: NOW + DAY,
    });
    let bundle = Bundle { version: Version, epoch: FIRST + 5, keys: keys.collect() };
    Signed::sign(&bundle, key, Some(certificate(Use::Bundle, key, identity))).unwrap()
}

fn config(configs: &[KeyConfig], policy: Signed<Policy>, bundle: Signed<Bundle>) -> Config {
    let periods = configs.iter().map(|config| Period {
        key_id: config.key_id(),
        active_from: NOW,
        active_until: NOW + DAY,
    });
    Config {
        version: ConfigVersion,
        features: Features { ohttp: true, real_attestation: true },
        relay_urls: vec!["https://relay.example:3100".to_owned()],
        gateway_url: "https://gateway.example:3200".to_owned(),
        router_url: "https://router.example:3600".to_owned(),
        ohttp_key_configs_bundle: KeyConfig::encode_list(configs),
        ohttp_key_rotation_periods: periods.collect(),
        attestation: Attestation {
            policy_id: "2026-11".to_owned(),
            allowed_images: policy,
            verifier_hints: vec!["aws-nitro".to_owned()],
        },
        epoch: FIRST + 12,
        key_source: KeySource::Gateway,
        bundle: Some(bundle),
    }
}

/// A document as on the wire, and what its signature is over.
fn signed<T: Document>(document: &Signed<T>) -> Value {
    let message = [b"maru-confidential/1 ", T::KIND.as_bytes(), &[0], document.payload.as_bytes()];
    json!({ "document": document, "signed": hex::encode(message.concat()) })
}

pub(super) fn make(configs: &[KeyConfig]) -> Value {
    let (identity, bundle_key, config_key) = (signer(0x11), signer(0x22), signer(0x33));
    let (policy, bundle) = (policy(&identity), bundle(configs, &bundle_key, &identity));
    let certificate = certificate(Use::Config, &config_key, &identity);
    let config = config(configs, policy.clone(), bundle.clone());
    let config = Signed::sign(&config, &config_key, Some(certificate.clone())).unwrap();
    let public = Fixed(identity.verifying_key().to_bytes());
    assert!(policy.verify(&public, NOW).is_ok() && bundle.verify(&public, NOW).is_ok());
    assert!(config.verify(&public, NOW).is_ok());
    let nonces = [[0x07; 32], [0x08; 32]];
    let set = nonces.concat();
    // `attestation` makes it for its verifier, and its tests compare.
    let bound = Sha256::digest([b"maru-confidential/1 nonces\0", &set[..]].concat());
    json!({
        "now": NOW,
        "identity_seed": hex::encode(identity.to_bytes()),
        "bundle_seed": hex::encode(bundle_key.to_bytes()),
        "config_seed": hex::encode(config_key.to_bytes()),
        "identity": public,
        "certificate": signed(&certificate),
        "policy": signed(&policy),
        "bundle": signed(&bundle),
        "config": {
            "body": config.payload,
            "maru-signature": config.signature,
            "maru-certificate": certificate.to_header(),
        },
        "nonces": { "nonces": nonces.map(hex::encode), "set": hex::encode(&set), "bound": hex::encode(bound) },
    })
}
