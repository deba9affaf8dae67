//! Bodies of the control protocol, and the framing of its map stream.
#![no_main]

use libfuzzer_sys::fuzz_target;

use control_protocol::{
    frame,
    key_response::KeyResponse,
    map::{MapRequest, MapResponse},
    register::{RegisterRequest, RegisterResponse},
};

fuzz_target!(|bytes: &[u8]| {
    drop(frame::decode(bytes, 1 << 20));
    let mut decoder = frame::Decoder::new(1 << 16);
    for part in bytes.chunks(7) {
        decoder.handle_bytes(part);
        while let Ok(Some(_)) = decoder.poll_body() {}
    }
    drop(serde_json::from_slice::<RegisterRequest>(bytes));
    drop(serde_json::from_slice::<RegisterResponse>(bytes));
    drop(serde_json::from_slice::<MapRequest>(bytes));
    drop(serde_json::from_slice::<MapResponse>(bytes));
    drop(serde_json::from_slice::<KeyResponse>(bytes));
});
