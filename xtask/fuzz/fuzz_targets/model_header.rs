//! The header of a model file, which comes from wherever somebody found it.
#![no_main]

use std::io::BufReader;

use common::gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = gguf::read(bytes) {
        assert!(header.least_bytes >= 24);
        // How the file is read makes no difference.
        let pieces = BufReader::with_capacity(3, bytes);
        assert_eq!(gguf::read(pieces).ok(), Some(header));
    }
});
