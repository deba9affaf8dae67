//! Bodies of the control protocol, the framing of its map stream, and the compressed maps in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

use control_protocol::{
    frame,
    key_response::KeyResponse,
    map::{MapRequest, MapResponse},
    register::{RegisterRequest, RegisterResponse},
};
use node_agent_core::netmap::{self, Netmap};

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
    drop(serde_json::from_slice::<KeyResponse>(bytes));
    drop(netmap::decode(bytes));
    if let Ok(message) = serde_json::from_slice::<MapResponse>(bytes) {
        let compressed = zstd::bulk::compress(bytes, 1).unwrap();
        assert_eq!(netmap::decode(&compressed).as_ref(), Some(&message));
        let mut netmap = Netmap::default();
        let _ = netmap.apply_first(message.clone());
        netmap.apply(message);
        drop((netmap.tunnel_peers(), netmap.zone()));
    }
});
