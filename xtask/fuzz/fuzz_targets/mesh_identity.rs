//! The PROXY v2 header: what is read back is what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;

use mesh_identity::Header;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((header, length))) = Header::decode(bytes) {
        assert!(length <= bytes.len());
        if let Ok(again) = header.encode() {
            assert_eq!(Header::decode(&again).unwrap().unwrap().0, header);
        }
    }
});
