//! The header of a model file from an untrusted source: arbitrary bytes, and a modified valid header.
#![no_main]

use std::io::BufReader;

use gguf::ARCHITECTURES;
use libfuzzer_sys::fuzz_target;
use model_sample::tiny;

fn check(bytes: &[u8]) {
    let read = gguf::read(bytes);
    match &read {
        Ok(header) => {
            assert!(header.least_bytes >= 24);
            let family = header.architecture.as_deref();
            assert!(family.is_some_and(|family| ARCHITECTURES.contains(&family)));
            assert!(header.context_tokens.is_some_and(|tokens| tokens > 0));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    // How the file is read makes no difference.
    let pieces = BufReader::with_capacity(3, bytes);
    assert_eq!(gguf::read(pieces).ok(), read.ok());
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut header = tiny().header();
    fuzz::edit(&mut header, bytes);
    check(&header);
});
