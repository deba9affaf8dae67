use llm_backend::{Error as Backend, refuse_cloud};

use super::{ollama::OllamaError, openai::OpenAiError, *};

#[test]
fn every_surface_says_whether_the_request_had_been_sent() {
    for (sent, expected, other) in
        [(false, "Nothing was sent", "was sent, sealed"), (true, "was sent, sealed", "Nothing")]
    {
        let error = || {
            let (code, reason) = ("reply-unsealed", "why");
            Error::Model(Failure::Untrusted { code, reason, sent })
        };
        let openai = OpenAiError(error()).body()["error"]["message"].to_string();
        let ollama = OllamaError(error()).body()["error"].to_string();
        let sealed = error().message();
        let problem = error().kind().2.to_owned();
        for text in [openai, ollama, sealed, problem] {
            assert!(text.contains(expected) && !text.contains(other), "{text}");
        }
        assert_eq!(error().name(), kind::ATTESTATION);
    }
}

/// The error of a request that a backend refused.
fn refused(status: u16, message: &str) -> Error {
    let (backend, message, detail) = ("b".to_owned(), message.to_owned(), Detail::default());
    Error::Model(Backend::Refused { backend, status, message, detail }.into())
}

fn cut() -> Backend {
    let (backend, reason) = ("b".to_owned(), "the connection closed".to_owned());
    Backend::Cut { backend, reason, began: true, source: None }
}

/// Each failure of a model or a body, with its hint.
#[test]
fn hints_fit_what_went_wrong() {
    let tried = || vec!["p/m".to_owned()];
    let unknown = Failure::Unknown { asked: "x".to_owned(), known: tried() };
    for (error, status, hint) in [
        (refused(400, "text must not hold NUL characters"), 400, "Correct what the message names"),
        (
            refused(422, "max_tokens must be at least 1, got 0"),
            400,
            "Correct what the message names",
        ),
        (refused(400, "the request exceeds the context size"), 400, "Shorten it"),
        (refused(400, "m does not support tools"), 400, "Choose another model"),
        (refused(400, &refuse_cloud("m")), 400, "Choose another model"),
        (refused(200, "its answer to /api/embed has an unknown format"), 502, "another model"),
        (Error::Model(Failure::Garbled("why".to_owned())), 502, "Ask again"),
        (Error::Model(unknown), 404, "lists them"),
        (Error::Model(Failure::Down(tried())), 502, "`maru doctor`"),
        (Error::Model(Failure::Unusable(tried())), 502, "which file it is"),
        (Error::Model(Failure::Busy(tried())), 503, "Ask again in a moment"),
        (Error::Model(cut().into()), 502, "Ask again"),
        (Error::Model(Failure::Overlong), 502, "Ask for a shorter one"),
        (Error::Model(Failure::Behind), 502, "read the reply as it comes"),
        (BodyError::TooLarge.into(), 413, "send less"),
        (BodyError::NoMemory.into(), 503, "Ask again in a moment"),
        (BodyError::Incomplete.into(), 400, "Send all of the body"),
        (BodyError::Timeout.into(), 408, "Send the whole body at once"),
        (chat_vocabulary::decode(b"{}".as_slice()).unwrap_err().into(), 400, "Correct the request"),
    ] {
        let (found, _, detail) = error.kind();
        assert_eq!(found.as_u16(), status, "{error}");
        assert!(detail.contains(hint), "{error}: {detail}");
        for text in [error.message(), OllamaError(error).body()["error"].to_string()] {
            assert!(text.contains(hint) || text.contains("lists them"), "{text}");
        }
    }
}
