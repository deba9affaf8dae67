//! The text of `openclaw.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;

use ai_gateway::openclaw::OpenClaw;

fuzz_target!(|text: &str| {
    match OpenClaw::parse(text) {
        Ok(read) => {
            assert_eq!(OpenClaw::parse(text).expect("it was read before"), read);
            // Each model that may be asked is one of a provider, and each provider can be reached somewhere.
            for named in [&read.primary].into_iter().chain(&read.fallbacks) {
                let provider = &read.providers[&named.provider];
                assert!(provider.models.iter().any(|model| model.id == named.model), "{named}");
            }
            for node in read.providers.values().flat_map(|provider| &provider.nodes) {
                assert!(!node.base_url.is_empty());
                assert!(node.slots.is_none_or(|slots| (1..=4096).contains(&slots)));
                if let Some(llm_backend::ApiKey::Text(key)) = &node.access.key {
                    // Short ones are found in other words.
                    assert!(key.len() < 8 || !format!("{:?}", node.access).contains(key.as_str()));
                }
            }
            assert!(read.providers.values().all(|provider| (1..=64).contains(&provider.nodes.len())));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
