//! What strangers send to `/verify`: whether a key is a node's.
#![no_main]

use control_protocol::admit::AdmitRequest;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = serde_json::from_slice::<AdmitRequest>(bytes) else { return };
    let text = serde_json::to_vec(&request).expect("it is written");
    assert_eq!(serde_json::from_slice::<AdmitRequest>(&text).expect("it was read before"), request);
    // It is asked of the key that stands there, and of no other.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let key = value.get("NodePublic").or_else(|| value.get(0)).and_then(Value::as_str);
    let key = key.expect("a key stands there");
    assert!(key.eq_ignore_ascii_case(&request.node_public.to_string()), "{key}");
});
