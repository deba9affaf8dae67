//! The words of refusals.

use std::collections::BTreeSet;

use attestation::Code;

const PROTOCOL: &str = include_str!("../../../../docs/protocols/confidential.md");

#[test]
fn every_code_has_one_word_and_the_protocol_lists_it() {
    let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), Code::ALL.len());
    for word in words {
        assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{word}");
        assert!(PROTOCOL.contains(&format!("`{word}`")), "{word} is in no list");
    }
}
