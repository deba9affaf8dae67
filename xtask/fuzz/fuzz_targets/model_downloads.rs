//! What a model server says of a download, and Ollama's manifests, which tell where a model lies.
#![no_main]

use cli::decoders;
use fuzz::Input;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_RANGE, ETAG, LAST_MODIFIED},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(Some(sha256)) = decoders::manifest(bytes) {
        // It is a name of 64 digits in one folder, whatever the manifest says; here it is read as that.
        let layer = serde_json::json!({
            "mediaType": "application/vnd.ollama.image.model",
            "digest": format!("sha256:{}", hex(&sha256)),
        });
        let again = serde_json::json!({ "layers": [layer] }).to_string();
        assert_eq!(decoders::manifest(again.as_bytes()), Some(Some(sha256)));
    }
    let mut input = Input::new(bytes);
    let mut headers = HeaderMap::new();
    for name in [CONTENT_RANGE, ETAG, LAST_MODIFIED] {
        if let Ok(value) = HeaderValue::from_bytes(input.bytes()) {
            headers.append(name, value);
        }
    }
    let (begins, validator) = decoders::download(&headers);
    assert!(begins.is_none() || headers[CONTENT_RANGE].as_bytes().starts_with(b"bytes "));
    // It is sent back as a header, and means one content alone.
    let is_strong = |it: &str| !it.is_empty() && !it.starts_with("W/");
    assert!(validator.is_none_or(|it| is_strong(&it) && HeaderValue::from_str(&it).is_ok()));
});

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
