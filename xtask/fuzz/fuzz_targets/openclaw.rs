//! The text of `openclaw.json` and, after a NUL, that of `.env`.
#![no_main]

use libfuzzer_sys::fuzz_target;

use ai_gateway::openclaw::{OpenClaw, Variables};
use llm_backend::ApiKey;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables = match Variables::parse(".env", variables) {
        Ok(variables) => variables,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let read = match OpenClaw::parse_with(text, &variables) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(OpenClaw::parse_with(text, &variables).expect("it was read before"), read);
    // Each model that may be asked is one of a provider, and each provider can be reached somewhere.
    for named in [&read.primary].into_iter().chain(&read.fallbacks) {
        let provider = &read.providers[&named.provider];
        assert!(provider.models.iter().any(|model| model.id == named.model), "{named}");
    }
    for provider in read.providers.values() {
        assert!((1..=64).contains(&provider.nodes.len()));
        for node in &provider.nodes {
            assert!(!node.base_url.is_empty());
            assert!(node.slots.is_none_or(|slots| (1..=4096).contains(&slots)));
            if let Some(key @ ApiKey::Text(_)) = &node.access.key {
                assert_eq!(format!("{key:?}"), "Text([redacted])");
            }
        }
    }
});
