//! Who is calling: the PROXY v2 header, and what a website could put into a request.
#![no_main]

use libfuzzer_sys::fuzz_target;

use http::Request;
use mesh_identity::Header;
use mesh_listener::Guard;

/// What is read back is what was written.
fn header(bytes: &[u8]) {
    if let Ok(Some((header, length))) = Header::decode(bytes) {
        assert!(length <= bytes.len());
        if let Ok(again) = header.encode() {
            assert_eq!(Header::decode(&again).unwrap().unwrap().0, header);
        }
    }
}

/// Only what names this service passes.
fn guard(bytes: &[u8]) {
    let guard = Guard::new(["chat.maru.internal"]);
    let names_us = || {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        text.contains("chat.maru.internal") || text.contains("100.64.0.1") || text.contains("ffff:")
    };
    for (host, origin) in [(bytes, None), (b"100.64.0.1".as_slice(), Some(bytes))] {
        let mut request = Request::builder().uri("/").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Ok(request) = request.body(())
            && guard.check(&request, "100.64.0.1:80".parse().unwrap()).is_ok()
        {
            assert!(names_us());
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    header(bytes);
    guard(bytes);
});
