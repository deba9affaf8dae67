//! The relay's frames and STUN.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((_, length))) = derp::frame::decode(rest) {
        rest = &rest[length..];
    }
    let mut decoder = derp::frame::Decoder::new();
    for part in bytes.chunks(5) {
        decoder.handle_bytes(part);
        while let Ok(Some(_)) = decoder.poll_frame() {}
    }
    drop(derp::stun::parse_request(bytes));
    drop(derp::stun::parse_response(bytes));
});
