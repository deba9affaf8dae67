//! What Ollama's clients send.
#![no_main]

use libfuzzer_sys::fuzz_target;

use chat_vocabulary::ollama::{self, TextRequest};

/// What is taken is within what a chat may hold: written as one, it is read as the same.
fn check(request: &TextRequest) {
    let TextRequest::Ask(request) = request else { return };
    assert!(!request.messages.is_empty());
    let written = serde_json::to_vec(request).expect("a request is JSON");
    let read = chat_vocabulary::decode(written).expect("what was taken is a chat");
    // How a text is gone on from is no part of a chat.
    assert_eq!(read, chat_vocabulary::ChatRequest { completion: None, ..(**request).clone() });
}

fuzz_target!(|body: &[u8]| {
    if let Ok(request) = ollama::decode_chat(body) {
        check(&request);
    }
    if let Ok(request) = ollama::decode_generate(body) {
        check(&request);
    }
    for request in
        [ollama::decode_embed(body), ollama::decode_embeddings(body)].into_iter().flatten()
    {
        assert!(request.input.len() <= 2048);
    }
    drop(ollama::decode_show(body));
});
