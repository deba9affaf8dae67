//! What stands in an `Authorization` header before an API key is looked up.
#![no_main]

use coordinator_core::api_key::{PREFIX, RANDOM_LEN, hash, presented};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let shown = presented(Some(bytes));
    // Either nothing was shown, or what stands behind the scheme, as long as a key is.
    if shown != presented(None) {
        assert!(bytes[..7].eq_ignore_ascii_case(b"bearer "));
        let token = bytes[7..].trim_ascii();
        assert_eq!(token.len(), PREFIX.len() + 2 * RANDOM_LEN);
        if let Ok(token) = std::str::from_utf8(token) {
            assert_eq!(shown, hash(token));
        }
    }
});
