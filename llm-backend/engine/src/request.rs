//! What `/v1/chat/completions` takes.

use ai_gateway_api::chat::ChatRequest;
use serde::Deserialize;
use serde_json::Value;

/// Most stop texts in a request.
const STOPS_MAX: usize = 16;

/// A request: the shared vocabulary, and what llama-server takes beyond it.
#[derive(Deserialize)]
pub struct Body {
    /// The shared vocabulary.
    #[serde(flatten)]
    pub chat: ChatRequest,
    /// llama-server's name for `max_tokens`; negative is no limit.
    #[serde(default)]
    n_predict: Option<i64>,
    #[serde(default)]
    top_k: Option<i32>,
    #[serde(default)]
    min_p: Option<f32>,
    #[serde(default)]
    repeat_penalty: Option<f32>,
    #[serde(default)]
    frequency_penalty: Option<f32>,
    #[serde(default)]
    presence_penalty: Option<f32>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    response_format: Option<Value>,
}

impl Body {
    /// Decodes a body.
    ///
    /// # Errors
    ///
    /// [`Invalid`]: it is not such a request, or asks for what this engine does not do.
    pub fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        // The texts of these errors may repeat the input; where it is wrong is enough.
        let body: Self = serde_json::from_slice(bytes).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Invalid(match error.classify() {
                serde_json::error::Category::Data => {
                    "the JSON is not a chat completion request".to_owned()
                }
                serde_json::error::Category::Io
                | serde_json::error::Category::Syntax
                | serde_json::error::Category::Eof => format!("the body is not JSON: {place}"),
            })
        })?;
        body.check()?;
        Ok(body)
    }

    /// Refuses what would be answered wrongly.
    fn check(&self) -> Result<(), Invalid> {
        let no = |what: &str| Err(Invalid(what.to_owned()));
        let options = &self.chat.options;
        let format = self
            .response_format
            .as_ref()
            .and_then(|format| format.get("type"))
            .and_then(Value::as_str);
        if self.n.is_some_and(|n| n != 1) {
            return no("n must be 1");
        }
        if self.logprobs == Some(true) {
            return no("logprobs are not supported");
        }
        if self.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
            return no("tools are not supported");
        }
        if format.is_some_and(|format| format != "text") {
            return no("response_format must be text");
        }
        if options.stop.len() > STOPS_MAX {
            return no("stop must have at most 16 texts");
        }
        if options.max_tokens == Some(0) || self.n_predict == Some(0) {
            return no("max_tokens must be at least 1");
        }
        for (name, value, range) in [
            ("temperature", options.temperature, 0.0..=10.0),
            ("top_p", options.top_p, 0.0..=1.0),
            ("min_p", self.min_p, 0.0..=1.0),
            ("repeat_penalty", self.repeat_penalty, 0.1..=10.0),
            ("frequency_penalty", self.frequency_penalty, -2.0..=2.0),
            ("presence_penalty", self.presence_penalty, -2.0..=2.0),
        ] {
            if value.is_some_and(|value| !range.contains(&value)) {
                return no(&format!("{name} must be from {} to {}", range.start(), range.end()));
            }
        }
        Ok(())
    }

    /// Most tokens to generate.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u32> {
        let predict = self.n_predict.and_then(|n| u32::try_from(n).ok());
        self.chat.options.max_tokens.or(predict)
    }

    /// How tokens are chosen.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        let (options, default) = (&self.chat.options, Sampling::default());
        Sampling {
            temperature: options.temperature.unwrap_or(default.temperature),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: options.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(default.repeat_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(default.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(default.presence_penalty),
            seed: options.seed,
            ignore_eos: options.ignore_eos,
        }
    }
}

/// The body cannot be used; says why, without repeating it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) String);

/// How the next token is chosen; the defaults are llama-server's.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Candidates, 0 for all.
    pub top_k: i32,
    /// Share of probability that candidates cover.
    pub top_p: f32,
    /// Least probability of a candidate, relative to the likeliest.
    pub min_p: f32,
    /// 1 is none.
    pub repeat_penalty: f32,
    /// 0 is none.
    pub frequency_penalty: f32,
    /// 0 is none.
    pub presence_penalty: f32,
    /// Makes choices repeatable.
    pub seed: Option<u32>,
    /// Never chooses a token that ends the reply.
    pub ignore_eos: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            seed: None,
            ignore_eos: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decode(body: &Value) -> Result<Body, Invalid> {
        Body::decode(body.to_string().as_bytes())
    }

    fn with(more: &Value) -> Value {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn what_clients_send_is_understood() {
        let body = decode(&with(&json!({
            "model": "x", "n_predict": -1, "top_k": 1, "n": 1, "tools": [], "tool_choice": "none", "user": "u",
            "logprobs": false, "response_format": { "type": "text" }, "temperature": 0, "seed": 7, "stop": "a",
        })));
        let body = body.map_err(|error| error.to_string()).unwrap();
        assert_eq!(body.max_tokens(), None);
        let expected =
            Sampling { temperature: 0.0, top_k: 1, seed: Some(7), ..Sampling::default() };
        assert_eq!(body.sampling(), expected);
        for name in ["max_tokens", "max_completion_tokens", "n_predict"] {
            let body =
                decode(&with(&json!({ name: 5 }))).map_err(|error| error.to_string()).unwrap();
            assert_eq!(body.max_tokens(), Some(5), "{name}");
        }
    }

    #[test]
    fn what_would_be_answered_wrongly_is_refused_by_name() {
        for (more, name) in [
            (json!({ "n": 2 }), "n "),
            (json!({ "tools": [{}] }), "tools"),
            (json!({ "logprobs": true }), "logprobs"),
            (json!({ "response_format": { "type": "json_object" } }), "response_format"),
            (json!({ "temperature": -1 }), "temperature"),
            (json!({ "top_p": 1.5 }), "top_p"),
            (json!({ "max_tokens": 0 }), "max_tokens"),
            (json!({ "stop": vec!["x"; 17] }), "stop"),
        ] {
            let error = decode(&with(&more)).err().unwrap().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    proptest! {
        /// Whatever arrives, it is a request or refused; numbers of any size included.
        #[test]
        fn any_body_is_survived(
            bytes in prop::collection::vec(any::<u8>(), 0..256),
            name in "max_tokens|n_predict|top_k|n|seed|temperature|stop|ignore_eos",
            value in any::<f64>(),
        ) {
            let _ = Body::decode(&bytes);
            let _ = decode(&with(&json!({ name.clone(): value }))).map(|body| (body.sampling(), body.max_tokens()));
            let _ = decode(&with(&json!({ name: value as i64 }))).map(|body| (body.sampling(), body.max_tokens()));
        }
    }

    #[test]
    fn a_body_that_is_wrong_is_not_repeated() {
        for body in [
            "{\"messages\": \"my secret\"}",
            "my secret",
            "{\"messages\":[{\"role\":\"my secret\"}]}",
            "",
        ] {
            let error = Body::decode(body.as_bytes()).err().unwrap();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
