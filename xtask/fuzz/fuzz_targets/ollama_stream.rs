//! The reply of an Ollama, cut anywhere; its lists.
#![no_main]

use libfuzzer_sys::fuzz_target;

use chat_vocabulary::Delta;
use llm_backend::Error;

/// Whether two readings of one reply agree: the same deltas but for the ids of calls that came without one, or cut for
/// the same reason.
fn agree(one: &Result<Vec<Delta>, Error>, other: &Result<Vec<Delta>, Error>) -> bool {
    let without_ids = |deltas: &Vec<Delta>| {
        let mut deltas = deltas.clone();
        deltas.iter_mut().flat_map(|delta| &mut delta.tool_calls).for_each(|call| call.id = None);
        deltas
    };
    match (one, other) {
        (Ok(one), Ok(other)) => without_ids(one) == without_ids(other),
        (
            Err(Error::Cut { reason, began, .. }),
            Err(Error::Cut { reason: other_reason, began: other_began, .. }),
        ) => (reason, began) == (other_reason, other_began),
        _ => false,
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, body) = fuzz::cuts(input);
    let whole = llm_backend::decode_ollama([body]);
    let cut = llm_backend::decode_ollama(fuzz::pieces(cuts, body));
    assert!(agree(&whole, &cut), "{whole:?} became {cut:?}");
    let bytes = llm_backend::decode_ollama(body.chunks(1));
    assert!(agree(&whole, &bytes), "{whole:?} became {bytes:?}");
    if let Ok(deltas) = &whole {
        assert!(deltas.last().is_some_and(|delta| delta.finish_reason.is_some()));
    }
    drop(llm_backend::decode_ollama_tags(body));
    drop(llm_backend::decode_ollama_show(body));
    for count in 0..3 {
        let made = llm_backend::decode_ollama_embeddings(body, count);
        assert!(made.is_none_or(|made| made.vectors.len() == count));
        let made = llm_backend::decode_embeddings(body, count);
        assert!(made.is_none_or(|made| made.vectors.len() == count));
    }
});
