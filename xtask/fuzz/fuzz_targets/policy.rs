//! The policy language: any text is a policy that compiles, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(policy) = acl::Policy::parse(text) {
        let network = acl::Network::default();
        drop(policy.compile(&network, 0));
        drop(policy.check(&network));
    }
});
