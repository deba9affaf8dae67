//! What a person's app is shown, in the words of the table in `docs/protocols/backends.md`.

use ai_gateway_api::sealed::{Chat, Event, Input, Operation};
use chat_vocabulary::Options;
use serde_json::{Value, json};
use testkit::http::Response;

use super::super::{Member, TestGateway};

/// What shows a whole reply.
pub(super) const WHOLE: &str = "the reply";

/// A way to ask for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    /// `/v1/chat/completions`, streamed or whole.
    OpenAi { stream: bool },
    /// `/api/chat`, streamed or whole.
    Ollama { stream: bool },
    /// Sealed chat, as telmeet passes it on.
    Sealed,
}

impl Surface {
    pub(super) const ALL: [Self; 5] = [
        Self::OpenAi { stream: true },
        Self::OpenAi { stream: false },
        Self::Ollama { stream: true },
        Self::Ollama { stream: false },
        Self::Sealed,
    ];

    /// Asks the model and returns what the client sees. The person's device is bound.
    pub(super) async fn show(self, gateway: &TestGateway, who: &Member, model: &str) -> String {
        let ask = async |path: &str, stream: bool| {
            let messages = json!([{"role": "user", "content": "hi"}]);
            let body = json!({"model": model, "messages": messages, "stream": stream});
            gateway.post(who, path, &body).await
        };
        match self {
            Self::OpenAi { stream } => openai(ask("/v1/chat/completions", stream).await).await,
            Self::Ollama { stream } => ollama(ask("/api/chat", stream).await).await,
            Self::Sealed => {
                let operation = Operation::Chat(Chat {
                    session: None,
                    input: Input::Text("hi".to_owned()),
                    model: Some(model.to_owned()),
                    language: None,
                    options: Options::default(),
                });
                sealed(&gateway.sealed(who, &operation).await)
            }
        }
    }
}

/// The other calls to a model: their path, and the body for the model of that name.
pub(super) fn other_calls(model: &str) -> [(&'static str, Value); 7] {
    let text = |stream: bool| json!({"model": model, "prompt": "hi", "stream": stream});
    [
        ("/v1/completions", text(true)),
        ("/v1/completions", text(false)),
        ("/api/generate", text(true)),
        ("/api/generate", text(false)),
        ("/v1/embeddings", json!({"model": model, "input": "hi"})),
        ("/api/embed", json!({"model": model, "input": "hi"})),
        ("/api/embeddings", json!({"model": model, "prompt": "hi"})),
    ]
}

/// A refusal's status, and whether it says when to ask again.
fn refused(answer: &Response) -> (u16, &'static str) {
    let later = answer.headers.get("retry-after").map_or("", |_| ", Retry-After");
    (answer.status.as_u16(), later)
}

async fn openai(answer: Response) -> String {
    if answer.status != 200 {
        let (status, later) = refused(&answer);
        let error = answer.json().await;
        return format!("{status} `{}`{later}", error["error"]["code"].as_str().unwrap());
    }
    let text = answer.text().await;
    let mut events: Vec<&str> =
        text.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    let (said, last) = match events.pop() {
        // A whole reply in one object.
        None => (text.contains("Hello"), WHOLE.to_owned()),
        Some("[DONE]") => (events.concat().contains("Hello"), WHOLE.to_owned()),
        Some(error) => {
            let error: Value = serde_json::from_str(error).unwrap();
            let code = error["error"]["code"].as_str().unwrap();
            (events.concat().contains("Hello"), format!("text, `error` `{code}`"))
        }
    };
    assert!(said, "{text}");
    last
}

async fn ollama(answer: Response) -> String {
    if answer.status != 200 {
        let (status, later) = refused(&answer);
        assert!(answer.json().await["error"].as_str().is_some_and(|words| words.len() > 10));
        return format!("{status}{later}");
    }
    let text = answer.text().await;
    assert!(text.contains("Hello"), "{text}");
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    if last["done"] == true {
        return WHOLE.to_owned();
    }
    assert!(last["error"].as_str().is_some_and(|words| words.len() > 10), "{text}");
    "text, `error`".to_owned()
}

fn sealed(events: &[Event]) -> String {
    let text = events.iter().any(|event| matches!(event, Event::Delta(text) if text == "Hello"));
    let error = events.iter().find_map(|event| match event {
        Event::Error { kind, .. } => Some(kind.as_str()),
        Event::Model(_)
        | Event::Evidence(_)
        | Event::Delta(_)
        | Event::Message(_)
        | Event::Conversation(_)
        | Event::Found(_)
        | Event::Memory(_)
        | Event::RecoveryCode(_)
        | Event::Notice { .. }
        | Event::Usage(_)
        | Event::Finish(_) => None,
    });
    match (text, error) {
        (true, None) => WHOLE.to_owned(),
        (true, Some(kind)) => format!("text, `error` `{kind}`"),
        (false, Some(kind)) => format!("`error` `{kind}`"),
        (false, None) => panic!("{events:?}"),
    }
}
