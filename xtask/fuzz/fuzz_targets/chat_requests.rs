//! Chat requests as OpenAI's clients send them: messages, images, tools, schemas, options.
#![no_main]

use libfuzzer_sys::fuzz_target;

use chat_vocabulary::{ChatRequest, DecodeError, EmbeddingRequest, Image, Json, Options};
use common::surrogate;

/// What was read stays within the bounds that are documented.
fn check(request: &ChatRequest) {
    for image in request.messages.iter().flat_map(|message| message.content.images()) {
        assert!(Image::from_data_url(image.to_data_url()).is_ok());
    }
    for schema in request.tools.iter().filter_map(|tool| tool.parameters.as_ref()) {
        assert!(schema.as_str().len() <= Json::MAX && schema.is_object());
        assert!(schema.as_str().parse::<Json>().is_ok());
    }
    let options = &request.options;
    for number in [options.temperature, options.top_p, options.min_p, options.repeat_penalty] {
        assert!(number.is_none_or(f32::is_finite));
    }
    assert!(options.top_logprobs.is_none_or(|number| number <= 20));
    assert!(!format!("{request:?}").contains("canary"));
}

/// An error is one line, however long the names in the body are.
fn explain(error: &DecodeError) {
    let text = error.to_string();
    assert!(text.len() < 1000 && !text.contains(char::is_control), "{text}");
}

fuzz_target!(|body: &[u8]| {
    match chat_vocabulary::decode(body) {
        Ok(request) => {
            check(&request);
            let mut mended = body.to_vec();
            surrogate::replace_lone(&mut mended);
            assert_eq!(fuzz::json::<ChatRequest>(&mended), Some(request));
        }
        Err(error) => explain(&error),
    }
    match chat_vocabulary::decode_completion(body) {
        // How it is gone on from is no part of a chat.
        Ok(request) => check(&ChatRequest { completion: None, ..request }),
        Err(error) => explain(&error),
    }
    if let Err(error) = EmbeddingRequest::decode(body) {
        explain(&error);
    }
    fuzz::json::<Options>(body);
    if let Ok(text) = std::str::from_utf8(body) {
        drop(Image::from_base64(text.to_owned()));
        drop(Image::from_data_url(text.to_owned()));
        drop(text.parse::<Json>());
    }
});
