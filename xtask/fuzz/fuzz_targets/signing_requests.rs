//! Signing requests of nodes for public certificates.
#![no_main]

use coordinator_core::signing_request::{MAX_LEN, SigningRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = SigningRequest::decode(bytes) else { return };
    // What the authority gets is what was read, and nothing is behind it.
    assert_eq!(request.der, bytes);
    assert!(bytes.len() <= MAX_LEN);
    // The name stands in it once, and is not cut.
    let name = request.name.as_bytes();
    assert!(name.is_empty() || bytes.windows(name.len()).any(|it| it == name));
    let longer = [bytes, b"\0"].concat();
    assert!(SigningRequest::decode(&longer).is_err());
});
