//! What `journalctl -o json` prints, and lines of the files of `maru up`.
#![no_main]

use cli::decoders::Entry;
use common::foreign;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let line = String::from_utf8_lossy(bytes);
    let first = line.lines().next().unwrap_or_default();
    let of_file = Entry::of_line("agent", first, Default::default());
    for entry in Entry::of_journal(bytes).into_iter().chain([of_file]) {
        assert!(!entry.to_string().contains(foreign::steers), "{entry:?}");
        assert!(entry.fields.len() <= 32);
        for text in
            entry.fields.iter().flat_map(|(name, value)| [name, value]).chain([&entry.message])
        {
            assert!(text.chars().count() <= 4096 && !text.contains(foreign::steers), "{text:?}");
        }
    }
});
