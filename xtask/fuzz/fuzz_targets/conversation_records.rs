//! Conversations at rest: messages that were opened, texts that are searched for, recovery codes.
//!
//! `sealed_values` opens what is sealed.
#![no_main]

use conversations::{Message, Pattern, RecoveryCode};
use libfuzzer_sys::fuzz_target;

/// What is read is read the same again after it was written.
fn record(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(&message.encode()).unwrap(), message);
    }
}

/// A text is found in itself, and what is shown of a message is short.
fn search(text: &str) {
    let (searched, message) = text.split_once('\n').unwrap_or((text, text));
    let Some(pattern) = Pattern::new(searched) else { return };
    assert!(pattern.excerpt(searched).is_some());
    if let Some(excerpt) = pattern.excerpt(message) {
        // In small letters a character is at most three.
        let most = 2 * 60 + 2 + 3 * searched.chars().count();
        assert!(excerpt.chars().count() <= most, "{excerpt}");
    }
}

fn recovery_code(text: &str) {
    if let Ok(code) = text.parse::<RecoveryCode>() {
        let written = code.to_text();
        assert_eq!(written.parse::<RecoveryCode>().unwrap().to_text(), written);
    }
}

fuzz_target!(|bytes: &[u8]| {
    record(bytes);
    let text = String::from_utf8_lossy(bytes);
    search(&text);
    recovery_code(&text);
});
