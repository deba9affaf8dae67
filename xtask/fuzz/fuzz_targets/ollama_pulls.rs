//! What an Ollama says while it fetches a model, cut anywhere.
#![no_main]

use cli::decoders::{self, Step};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (cuts, body) = fuzz::cuts(input);
    let whole = decoders::pull([body]);
    assert_eq!(whole, decoders::pull(fuzz::pieces(cuts, body)));
    assert_eq!(whole, decoders::pull(body.chunks(1)));
    for step in whole.into_iter().flatten() {
        let (text, bytes) = match step {
            Step::Going(what, bytes) => (what, bytes),
            Step::Failed(reason) => (reason, None),
            Step::Done => continue,
        };
        assert!(text.chars().count() <= 300 && !text.chars().any(char::is_control));
        assert!(bytes.is_none_or(|(done, total)| done <= total && total > 0));
    }
});
