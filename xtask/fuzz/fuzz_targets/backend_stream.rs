//! A backend's streamed reply, cut anywhere; its lists and its errors.
#![no_main]

use libfuzzer_sys::fuzz_target;

use chat_vocabulary::Delta;
use llm_backend::Error;

/// Whether two readings of one reply agree: the same deltas, or cut for the same reason.
fn agree(one: &Result<Vec<Delta>, Error>, other: &Result<Vec<Delta>, Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (
            Err(Error::Cut { reason, began, .. }),
            Err(Error::Cut { reason: other_reason, began: other_began, .. }),
        ) => (reason, began) == (other_reason, other_began),
        _ => false,
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, body) = fuzz::cuts(input);
    let whole = llm_backend::decode([body]);
    let cut = llm_backend::decode(fuzz::pieces(cuts, body));
    assert!(agree(&whole, &cut), "{whole:?} became {cut:?}");
    let bytes = llm_backend::decode(body.chunks(1));
    assert!(agree(&whole, &bytes), "{whole:?} became {bytes:?}");
    if let Ok(deltas) = &whole {
        assert!(deltas.iter().any(|delta| delta.finish_reason.is_some()));
    }
    drop(llm_backend::decode_models(body));
    drop(llm_backend::decode_slots(body));
    let _ = llm_backend::decode_props(body);
    if let Some(message) = llm_backend::decode_error(body) {
        assert!(!message.contains(char::is_control) && message.chars().count() <= 300);
    }
});
