//! `nodes.json`: the keys that the coordinator leaves for the relay.
#![no_main]

use std::path::Path;

use chassis::state::Format;
use coordinator_core::admission::{AdmissionList, AdmittedKeys};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

/// As the coordinator writes it.
const FORMAT: Format<AdmissionList> = Format::new(1);

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let now = i64::from(input.byte());
    let list = match FORMAT.parse(Path::new("nodes.json"), input.rest()) {
        Ok(list) => list,
        Err(error) => return assert_eq!(error.to_string().lines().count(), 1),
    };
    let text = serde_json::to_vec(&list).expect("it is written");
    assert_eq!(serde_json::from_slice::<AdmissionList>(&text).expect("it was read before"), list);
    // Whoever is named is let in until it says, and nobody else.
    let keys = AdmittedKeys::from(list.clone());
    for entry in &list.nodes {
        let last = list.nodes.iter().rfind(|other| other.key == entry.key).expect("itself");
        assert_eq!(keys.admit(&entry.key, now), last.until.is_none_or(|until| until > now));
    }
    // What the coordinator writes next names no key that has expired, and none of a node that is gone.
    let nodes: Vec<_> = list.nodes.iter().step_by(2).copied().collect();
    let next = list.next(nodes.clone(), now);
    for entry in &next.nodes {
        assert!(entry.until.is_none_or(|until| until > now), "{entry:?}");
        assert!(nodes.iter().any(|node| node.node == entry.node), "{entry:?}");
    }
});
