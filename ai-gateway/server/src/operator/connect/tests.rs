use ai_gateway_api::wire::Fixed;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use super::*;

fn challenge() -> Challenge {
    Challenge { nonce: "nonce".to_owned(), ts: 1_737_264_000_000 }
}

/// What the stock client sends, signed by this key.
fn signed(key: &SigningKey, scopes: &[&str]) -> Value {
    let public = key.verifying_key().to_bytes();
    let id = hex::encode(Sha256::digest(public));
    let scopes_text = scopes.join(",");
    let text = format!(
        "v3|{id}|openclaw-tui|ui|operator|{scopes_text}|1737264000000|secret|nonce|linux|desktop"
    );
    let signature = Fixed(key.sign(text.as_bytes()).to_bytes());
    json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": scopes, "caps": [],
        "client": {"id": "openclaw-tui", "version": "2026.9.6", "platform": " Linux ", "mode": "ui",
            "deviceFamily": "Desktop"},
        "auth": {"token": "secret"},
        "device": {"id": id, "publicKey": Fixed(public).to_string(),
            "signature": signature.to_string(), "signedAt": 1_737_264_000_000_u64, "nonce": "nonce"},
    })
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn check(connect: &Value, is_admin: bool) -> Result<Connected, Failure> {
    let text = connect.to_string();
    let connect: Connect<'_> = serde_json::from_str(&text).unwrap();
    connect.check(&challenge(), is_admin).map_err(|refused| refused.0)
}

fn scopes(connect: &Value, is_admin: bool) -> Vec<&'static str> {
    check(connect, is_admin).unwrap().scopes.names()
}

fn code(connect: &Value) -> &'static str {
    match check(connect, false) {
        Err(Failure::Connect(code, _)) => code,
        Err(Failure::Invalid(_)) => "INVALID_REQUEST",
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_signed_this_challenge_connects_whatever_its_token() {
    let connected = check(&signed(&key(), &["operator.read"]), false).unwrap();
    assert_eq!((&*connected.id, &*connected.mode), ("openclaw-tui", "ui"));
    let mut alone = signed(&key(), &[]);
    alone.as_object_mut().unwrap().remove("device");
    alone["auth"]["token"] = json!("another");
    check(&alone, false).unwrap();
}

#[test]
fn a_signature_without_platform_and_family_holds_too() {
    let key = key();
    let mut connect = signed(&key, &["operator.read"]);
    let id = connect["device"]["id"].as_str().unwrap();
    let text = |nonce| {
        format!("v2|{id}|openclaw-tui|ui|operator|operator.read|1737264000000|secret|{nonce}")
    };
    let [signature, other] = ["nonce", "other"]
        .map(|nonce| Fixed(key.sign(text(nonce).as_bytes()).to_bytes()).to_string());
    connect["device"]["signature"] = json!(signature);
    check(&connect, false).unwrap();
    connect["device"]["signature"] = json!(other);
    assert_eq!(code(&connect), "DEVICE_AUTH_SIGNATURE_INVALID");
}

#[test]
fn a_signature_over_anything_else_is_refused() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 9] = [
        (|it| it["device"]["nonce"] = json!("of another connection"), "DEVICE_AUTH_NONCE_MISMATCH"),
        (
            |it| it["device"]["signedAt"] = json!(1_737_264_000_001_u64),
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
        ),
        (|it| it["device"]["id"] = json!("00"), "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
        (|it| it["device"]["publicKey"] = json!("AA"), "DEVICE_AUTH_PUBLIC_KEY_INVALID"),
        (|it| it["device"]["signature"] = json!("AA"), "DEVICE_AUTH_SIGNATURE_INVALID"),
        (|it| it["scopes"] = json!(["operator.admin"]), "DEVICE_AUTH_SIGNATURE_INVALID"),
        (|it| it["auth"]["token"] = json!("another"), "DEVICE_AUTH_SIGNATURE_INVALID"),
        (|it| it["client"]["mode"] = json!("cli"), "DEVICE_AUTH_SIGNATURE_INVALID"),
        (
            |it| {
                let other = signed(&SigningKey::from_bytes(&[8; 32]), &[]);
                it["device"]["signature"] = other["device"]["signature"].clone();
            },
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
    ];
    for (change, expected) in changes {
        let mut connect = signed(&key(), &[]);
        change(&mut connect);
        assert_eq!(code(&connect), expected, "{connect}");
    }
}

#[test]
fn another_protocol_or_role_is_refused_by_name() {
    for (min, max, fits) in
        [(4, 4, true), (3, 4, true), (3, 5, true), (3, 3, false), (5, 9, false), (5, 3, false)]
    {
        let mut connect = signed(&key(), &[]);
        (connect["minProtocol"], connect["maxProtocol"]) = (json!(min), json!(max));
        assert_eq!(check(&connect, false).is_ok(), fits, "{min} to {max}");
        if !fits {
            assert_eq!(code(&connect), "PROTOCOL_MISMATCH");
        }
    }
    for (field, value) in [
        ("role", json!("node")),
        ("role", json!("worker")),
        (
            "client",
            json!({
        "id": "x".repeat(201), "version": "1", "platform": "linux", "mode": "ui"}),
        ),
    ] {
        let mut connect = signed(&key(), &[]);
        connect[field] = value;
        assert_eq!(code(&connect), "INVALID_REQUEST", "{field}");
    }
}

#[test]
fn administration_is_granted_to_an_admin_who_asks_for_it_and_to_nobody_else() {
    let [read, write, admin] = ["operator.read", "operator.write", "operator.admin"];
    for (asked, is_admin, granted) in [
        (&[read][..], true, &[read][..]),
        (&[read, write], true, &[read, write]),
        (&[admin], true, &[read, write, admin]),
        (&[admin], false, &[read, write]),
        (&[], true, &[read, write]),
        (&["operator.pairing", read], true, &[read]),
    ] {
        assert_eq!(scopes(&signed(&key(), asked), is_admin), granted, "{asked:?}");
    }
}
