//! Keys and files of telmeet: device keys, one-time keys, identities, signatures, backed up sessions; types, names and
//! parts of files, and which files a content names.
#![no_main]

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use ruma::{device_id, server_name, user_id};
use telmeet_core::{
    json,
    keys::{
        backup::{Description, Session},
        cross_signing::{CrossSigningKey, Identity, Usage},
        device::DeviceKeys,
        one_time::OneTimeKey,
        signed::{KEY_MAX, SIGNATURES_MAX, Signature, SignedObject},
    },
    media::{self, Part},
};

/// An Ed25519 key that signed nothing here.
const OTHER: &str = "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI";

/// What is read is written and read as the same, and nobody signed it who did not.
fn keys(bytes: &[u8], text: &str) {
    let (kim, phone) = (user_id!("@kim:maru.home.arpa"), device_id!("PHONE"));
    if let Ok(object) = SignedObject::parse(bytes) {
        assert!(bytes.len() <= KEY_MAX && object.signatures().len() <= SIGNATURES_MAX);
        let written = object.to_json();
        // Canonical JSON may be longer than what was read.
        if written.len() <= KEY_MAX {
            assert_eq!(SignedObject::parse(written.as_bytes()).as_ref(), Ok(&object));
        }
        let plain = object.with_signatures([]);
        assert!(plain.signatures().is_empty() && plain.is_same_but_signatures(&object));
        let named = ("ed25519:PHONE".to_owned(), OTHER.to_owned());
        assert!(object.valid_signatures(kim, &[named]).is_empty());
        let key_id = "ed25519:PHONE".to_owned();
        let forged = Signature { signer: kim.to_string(), key_id, signature: text.to_owned() };
        assert!(!object.with_signatures([forged]).is_signed_by(kim, "ed25519:PHONE", OTHER));
    }
    assert!(DeviceKeys::parse(bytes, kim, phone).is_err(), "keys that no device signed");
    if let Ok(keys) = DeviceKeys::stored(text, phone) {
        let stored = keys.to_stored(kim, phone);
        if stored.len() <= KEY_MAX {
            let stored = DeviceKeys::stored(&stored, phone).unwrap();
            assert!(stored.has_same_identity(&keys) && stored.ed25519() == keys.ed25519());
        }
        let _ = keys.to_json(keys.object().signatures(), Some(text));
    }
    for usage in Usage::ALL {
        let Ok(key) = CrossSigningKey::parse(bytes, kim, usage) else { continue };
        assert!(key.key_id().ends_with(key.public()));
        let identity = Identity { master: Some(key), ..Identity::default() };
        let updated = Identity::default().update(identity.clone(), kim);
        assert_eq!(updated, Ok(identity));
    }
    if let Ok(key) = OneTimeKey::parse("signed_curve25519:A", bytes) {
        let again = OneTimeKey::parse("signed_curve25519:A", key.json.as_bytes());
        assert!(again.is_err() || again == Ok(key), "a longer text is refused");
    }
    if let Ok(key) = OneTimeKey::parse(text, b"{}") {
        assert_eq!(format!("{}:{}", key.algorithm, key.id), text);
    }
}

/// A session is written as it was read, and of two at most one is better.
fn backup(input: &mut Input<'_>, bytes: &[u8]) {
    let _ = Description::parse(bytes);
    let Ok(session) = Session::parse(bytes) else { return };
    let again = Session::parse(session.to_json().unwrap().as_bytes());
    assert!(again.is_err() || again.as_ref() == Ok(&session), "a longer text is refused");
    let mut other = session.clone();
    other.first_message_index = u64::from(input.byte());
    other.forwarded_count = u64::from(input.byte());
    other.is_verified = input.below(2) == 1;
    assert!(!(session.is_better_than(&other) && other.is_better_than(&session)));
}

/// Types and names fit into a header, a part lies within the file.
fn files(bytes: &[u8], text: &str, size: u64) {
    let kind = media::content_type(Some(text));
    assert!(kind.is_ascii() && !kind.contains(['\r', '\n', '\0']) && kind.contains('/'));
    assert!(!media::is_picture(kind) || media::is_inline(kind));
    assert!(!media::is_inline(kind) || !kind.contains("html") || kind.contains(';'));
    if let Some(name) = media::file_name(text) {
        assert!(!name.contains(['/', '\\']) && !name.contains(char::is_control));
        assert_eq!(media::file_name(&name).as_ref(), Some(&name));
    }
    if let Part::Bytes(part) = media::part(Some(text), size) {
        assert!(part.start < part.end && part.end <= size);
    }
    if let Ok(content) = json::content(bytes) {
        let named = media::named(&content, server_name!("maru.home.arpa"));
        assert!(named.iter().all(|id| !id.is_empty() && !id.contains('/')));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    keys(bytes, &text);
    backup(&mut Input::new(bytes), bytes);
    files(bytes, &text, bytes.len() as u64 * 7);
});
