//! A backend's streamed reply, however it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(llm_backend::decode(bytes));
});
