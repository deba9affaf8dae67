//! `members.json`: the people and nodes that the coordinator names to telmeet.
#![no_main]

use std::path::Path;

use chassis::state::Format;
use libfuzzer_sys::fuzz_target;
use mesh_identity::members::Members;

/// As the coordinator writes it.
const FORMAT: Format<Members> = Format::new(Members::VERSION);

fuzz_target!(|bytes: &[u8]| match FORMAT.parse(Path::new(Members::FILE), bytes) {
    Ok(list) => {
        let text = serde_json::to_vec(&list).expect("it is written");
        assert_eq!(serde_json::from_slice::<Members>(&text).expect("it was read before"), list);
    }
    Err(error) => assert_eq!(error.to_string().lines().count(), 1),
});
