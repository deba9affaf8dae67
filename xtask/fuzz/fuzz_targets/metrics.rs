//! What a daemon answers to `maru metrics`, whose lines stand in one file with those of others.
#![no_main]

use std::collections::BTreeSet;

use cli::decoders;
use libfuzzer_sys::fuzz_target;

const OWN: &str = "maru_gateway_";

fuzz_target!(|bytes: &[u8]| {
    let answer = String::from_utf8_lossy(bytes);
    let text = decoders::metrics(&answer, OWN);
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let comment = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        assert!(comment.unwrap_or(line).starts_with(OWN), "{line}");
        assert!(seen.insert(line), "twice: {line}");
        assert!(!line.chars().any(|it| it.is_ascii_control()), "{line:?}");
    }
    assert!(decoders::metrics(&text, "maru_machine_").is_empty());
});
