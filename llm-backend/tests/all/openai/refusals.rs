//! What a server's refusal says by its code and the field that it names.

use chat_vocabulary::{ChatRequest, Delta, FinishReason, Options};
use futures_util::TryStreamExt as _;
use llm_backend::{Backend as _, Code, Detail, Error};

use super::{ask, event, request, serve};

/// What a refusal with a code of OpenAI's is taken for.
#[tokio::test]
async fn a_refusals_code_and_field_are_read() {
    let named = |code, param: &str| Detail { code: Some(code), param: Some(param.to_owned()) };
    let long = "x".repeat(101);
    for (error, status, detail) in [
        (
            r#""code":"unsupported_parameter","param":"max_tokens""#,
            400,
            named(Code::UnsupportedParameter, "max_tokens"),
        ),
        (
            r#""code":"unsupported_value","param":"temperature""#,
            400,
            named(Code::UnsupportedValue, "temperature"),
        ),
        (
            r#""code":"context_length_exceeded","param":null"#,
            400,
            Detail { code: Some(Code::TooLong), param: None },
        ),
        (r#""code":"invalid_api_key","param":null"#, 401, Detail::default()),
        (r#""code":"of its own","param":7"#, 400, Detail::default()),
        (r#""code":400,"param":"a\nb""#, 400, Detail { code: None, param: Some("a b".to_owned()) }),
        (
            &format!(r#""code":"invalid_value","param":"{long}""#),
            400,
            named(Code::InvalidValue, &long[..100]),
        ),
    ] {
        let body = format!(r#"{{"error":{{"message":"no",{error}}}}}"#);
        let in_stream = format!("data: {body}\n\n");
        let server = serve(move |mut connection| async move {
            connection.answer("400 Bad Request", &body).await;
        });
        let refused = ask(&server.client()).await.unwrap_err();
        let Error::Refused { status: found, detail: told, .. } = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!((*found, told), (status, &detail), "{error}");
        assert_eq!(refused.may_try_another(), status == 401, "{error}");
        assert_eq!(refused.is_too_long(), detail.code == Some(Code::TooLong), "{error}");
        let of_the_model = [Code::UnsupportedParameter, Code::UnsupportedValue];
        let is_of_the_model = detail.code.is_some_and(|code| of_the_model.contains(&code));
        assert_eq!(refused.is_unsupported(), is_of_the_model, "{error}");
        assert!(!refused.is_backend_fault(), "{error}");

        // The same under status 200, if the code says that it is a refusal.
        let again = llm_backend::decode([in_stream.as_bytes()]).unwrap_err();
        match (again, detail.code.is_some() || status == 401) {
            (Error::Refused { status: found, detail: told, .. }, true) => {
                assert_eq!((found, told), (status, detail), "{error}");
            }
            (Error::Cut { .. }, false) => {}
            (again, _) => panic!("{error}: {again:?}"),
        }
    }
}

/// If the client set no limit, a model that does not support it is asked without; otherwise the client gets the error.
#[tokio::test]
async fn a_bound_of_ours_that_the_model_does_not_take_is_left_out() {
    let refusal =
        r#"{"error":{"message":"no","code":"unsupported_parameter","param":"max_tokens"}}"#;
    for usual_length in [true, false] {
        let server = serve(move |mut connection| async move {
            connection.answer("400 Bad Request", refusal).await;
            if !usual_length {
                return None;
            }
            connection.read_request().await;
            connection.begin().await;
            connection.chunk(event("a").as_bytes()).await;
            connection.chunk(event("b").as_bytes()).await;
            connection.is_left().await;
            Some(connection.request)
        });
        let options = Options { max_tokens: Some(1), ..Options::default() };
        let asked = ChatRequest { usual_length, options, ..request() };
        let client = server.client();
        let told = match client.chat(asked).await {
            Ok(deltas) => deltas.try_collect::<Vec<Delta>>().await,
            Err(error) => Err(error),
        };
        match told {
            Ok(deltas) => {
                let ended = Delta { finish_reason: Some(FinishReason::Length), ..Delta::default() };
                assert!(usual_length);
                assert_eq!(deltas, [Delta::text("a"), ended]);
                let sent = server.task.await.unwrap().unwrap();
                let sent = String::from_utf8(sent.body).unwrap();
                assert!(!sent.contains("max_tokens"), "{sent}");
            }
            Err(error) => assert!(!usual_length && error.is_without("max_tokens"), "{error:?}"),
        }
    }
}
