//! Requests to the stand-in for the Nitro Security Module.
#![no_main]

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex},
};

use attester::{
    Authority,
    nsm::{MAX_RESPONSE, Module},
};
use ciborium::Value;
use libfuzzer_sys::fuzz_target;

static MODULE: LazyLock<Mutex<Module>> = LazyLock::new(|| {
    let id = "i-0123456789abcdef0-enc0123456789abcdef".to_owned();
    Module::new(id, Authority::generate().unwrap(), &BTreeMap::new()).unwrap().into()
});

fuzz_target!(|bytes: &[u8]| {
    let answer = MODULE.lock().unwrap().handle(bytes, 1_790_000_000_000);
    assert!(answer.len() <= MAX_RESPONSE);
    let answer: Value = ciborium::de::from_reader(answer.as_slice()).unwrap();
    assert!(answer.is_map() || answer.is_text());
});
