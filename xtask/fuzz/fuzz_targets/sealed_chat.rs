//! Sealed requests, key documents and what is under the seal.
#![no_main]

use libfuzzer_sys::fuzz_target;

use ai_gateway_api::{
    chat,
    sealed::{self, BindDevice, Operation, ReplyPart, Request},
};

fuzz_target!(|bytes: &[u8]| {
    drop(Request::decode(bytes));
    drop(BindDevice::decode(bytes));
    drop(sealed::decode_keys(bytes));
    for name in ["start", "chunk", "final", "error"] {
        drop(ReplyPart::decode(name, bytes));
    }
    drop(Operation::decode(bytes));
    drop(sealed::decode_events(bytes));
    drop(chat::decode(bytes));
});
