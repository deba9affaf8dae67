//! Requests to `/v1/chat/completions` and `/v1/completions`.

use chat_vocabulary::{ChatRequest, Completion, DecodeError, Effort, ResponseFormat, Role};

use crate::schema::{self, SchemaError};

/// Most stop texts in a request.
const STOPS_MAX: usize = 16;
/// Longest `prompt_cache_key`, in bytes.
const CACHE_KEY_MAX: usize = 64;

/// A request that this engine can answer.
pub struct Body {
    /// The shared vocabulary.
    pub chat: ChatRequest,
    /// The grammar of `response_format`; [`None`]: any text.
    pub grammar: Option<String>,
}

impl Body {
    /// Decodes a body; `model` is the name of this engine's model.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`]: it is not such a request, or needs a feature that this engine lacks.
    pub fn decode(bytes: impl Into<Vec<u8>>, model: &str) -> Result<Self, InvalidRequest> {
        Self::new(chat_vocabulary::decode(bytes)?, model)
    }

    /// Decodes a body that has a prompt instead of messages.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_completion(
        bytes: impl Into<Vec<u8>>,
        model: &str,
    ) -> Result<Self, InvalidRequest> {
        let request = chat_vocabulary::decode_completion(bytes)?;
        if matches!(request.completion, Some(Completion::Insert(_))) {
            return Err(InvalidRequest(format!("{model} does not support insert")));
        }
        Self::new(request, model)
    }

    fn new(chat: ChatRequest, model: &str) -> Result<Self, InvalidRequest> {
        if let Some(lacking) = lacking(&chat) {
            return Err(InvalidRequest(format!("{model} does not support {lacking}")));
        }
        let grammar = match &chat.response_format {
            None | Some(ResponseFormat::Text) => None,
            Some(ResponseFormat::JsonObject) => Some(schema::any_object()),
            Some(ResponseFormat::JsonSchema { schema, .. }) => {
                Some(schema::grammar(schema.as_str())?)
            }
        };
        let body = Self { chat, grammar };
        body.check()?;
        Ok(body)
    }

    /// Refuses values outside of their range.
    fn check(&self) -> Result<(), InvalidRequest> {
        let refuse = |reason: &str| Err(InvalidRequest(reason.to_owned()));
        let options = &self.chat.options;
        if options.stop.len() > STOPS_MAX {
            return refuse("stop must have at most 16 texts");
        }
        if self.chat.prompt_cache_key.as_ref().is_some_and(|key| key.len() > CACHE_KEY_MAX) {
            return refuse("prompt_cache_key must have at most 64 bytes");
        }
        if options.max_tokens == Some(0) {
            return refuse("max_tokens must be at least 1");
        }
        if options.ignore_eos && self.grammar.is_some() {
            return refuse("ignore_eos cannot be used with response_format: its JSON ends");
        }
        for (name, value, range) in [
            ("temperature", options.temperature, 0.0..=10.0),
            ("top_p", options.top_p, 0.0..=1.0),
            ("min_p", options.min_p, 0.0..=1.0),
            ("repeat_penalty", options.repeat_penalty, 0.1..=10.0),
            ("frequency_penalty", options.frequency_penalty, -2.0..=2.0),
            ("presence_penalty", options.presence_penalty, -2.0..=2.0),
        ] {
            if value.is_some_and(|value| !range.contains(&value)) {
                let reason = format!("{name} must be from {} to {}", range.start(), range.end());
                return refuse(&reason);
            }
        }
        Ok(())
    }

    /// Most tokens to generate.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u32> {
        self.chat.options.max_tokens
    }

    /// How tokens are chosen.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        let (options, default) = (&self.chat.options, Sampling::default());
        Sampling {
            temperature: options.temperature.unwrap_or(default.temperature),
            top_k: options.top_k.unwrap_or(default.top_k),
            top_p: options.top_p.unwrap_or(default.top_p),
            min_p: options.min_p.unwrap_or(default.min_p),
            repeat_penalty: options.repeat_penalty.unwrap_or(default.repeat_penalty),
            frequency_penalty: options.frequency_penalty.unwrap_or(default.frequency_penalty),
            presence_penalty: options.presence_penalty.unwrap_or(default.presence_penalty),
            seed: options.seed,
            // The vocabulary of requests lets only numbers through.
            logit_bias: (options.logit_bias.iter())
                .filter_map(|(id, bias)| Some((id.parse().ok()?, *bias)))
                .collect(),
            ignore_eos: options.ignore_eos,
        }
    }

    /// Refuses a bias of a token that a model of `n_vocab` tokens does not have.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] with the first such token.
    pub fn check_tokens(&self, n_vocab: u32) -> Result<(), InvalidRequest> {
        let has = |id: &String| id.parse::<u32>().is_ok_and(|id| id < n_vocab);
        match self.chat.options.logit_bias.keys().find(|id| !has(id)) {
            None => Ok(()),
            Some(id) => Err(InvalidRequest(format!(
                "logit_bias names token {id}, but this model's tokens are 0 to {}",
                n_vocab.saturating_sub(1)
            ))),
        }
    }
}

/// The feature that a request needs and this engine lacks, by Ollama's name for it if there is one.
fn lacking(chat: &ChatRequest) -> Option<&'static str> {
    let calls = |role: Role, calls: usize| role == Role::Tool || calls > 0;
    let needs = [
        (chat.may_call(), "tools"),
        (chat.messages.iter().any(|it| calls(it.role, it.tool_calls.len())), "tools"),
        (chat.has_images(), "vision"),
        (chat.reasoning_effort.is_some_and(|effort| effort != Effort::None), "thinking"),
        (chat.options.wants_logprobs(), "logprobs"),
    ];
    needs.into_iter().find_map(|(needed, name)| needed.then_some(name))
}

/// The body cannot be used. The message does not repeat the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRequest(pub(crate) String);

impl From<DecodeError> for InvalidRequest {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Unknown(name) => {
                Self(format!("this engine does not know `{name}`: leave it out"))
            }
            DecodeError::Json(_) | DecodeError::Field { .. } => Self(error.to_string()),
        }
    }
}

impl From<SchemaError> for InvalidRequest {
    fn from(error: SchemaError) -> Self {
        Self(error.to_string())
    }
}

/// How the next token is chosen; the defaults are llama-server's.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 always chooses the likeliest token.
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
    /// Added to the likelihood of tokens, by id.
    pub logit_bias: Vec<(i32, f32)>,
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
            logit_bias: Vec::new(),
            ignore_eos: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn decode(body: &Value) -> Result<Body, InvalidRequest> {
        Body::decode(body.to_string().as_bytes(), "smollm2")
    }

    fn with(more: &Value) -> Value {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn fields_of_common_clients_are_accepted() {
        let body = decode(&with(&json!({
            "model": "x", "n_predict": -1, "top_k": 1, "n": 1, "tools": [], "tool_choice": "none", "user": "u",
            "logprobs": false, "response_format": { "type": "text" }, "temperature": 0, "seed": 7, "stop": "a",
            "reasoning_effort": "none",
        })));
        let body = body.map_err(|error| error.to_string()).unwrap();
        assert_eq!(body.max_tokens(), None);
        let expected =
            Sampling { temperature: 0.0, top_k: 1, seed: Some(7), ..Sampling::default() };
        assert_eq!(body.sampling(), expected);
        assert_eq!(decode(&with(&json!({ "seed": -1 }))).ok().unwrap().sampling().seed, None);
        for name in ["max_tokens", "max_completion_tokens", "n_predict"] {
            let body =
                decode(&with(&json!({ name: 5 }))).map_err(|error| error.to_string()).unwrap();
            assert_eq!(body.max_tokens(), Some(5), "{name}");
        }
    }

    #[test]
    fn invalid_values_are_refused_by_name() {
        for (more, start) in [
            (json!({ "n": 2 }), "`n` "),
            (json!({ "temperature": -1 }), "temperature"),
            (json!({ "top_p": 1.5 }), "top_p"),
            (json!({ "max_tokens": 0 }), "max_tokens"),
            (json!({ "n_predict": 0 }), "max_tokens"),
            (json!({ "stop": vec!["x"; 17] }), "stop"),
            (
                json!({ "ignore_eos": true, "response_format": { "type": "json_object" } }),
                "ignore_eos",
            ),
            (
                json!({ "response_format": { "type": "json_object", "schema": { "oneOf": [] } } }),
                "response_format: `schema.oneOf`",
            ),
            (json!({ "mirostat": 2 }), "this engine does not know `mirostat`"),
        ] {
            let error = decode(&with(&more)).err().unwrap().to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn biases_are_of_tokens_that_the_model_has() {
        let body = decode(&with(&json!({ "logit_bias": { "7": -100, "20": 1.5 } }))).ok().unwrap();
        assert_eq!(body.sampling().logit_bias, [(20, 1.5), (7, -100.0)]);
        assert_eq!(body.check_tokens(21), Ok(()));
        let error = body.check_tokens(20).unwrap_err().to_string();
        assert_eq!(error, "logit_bias names token 20, but this model's tokens are 0 to 19");
        let beyond = decode(&with(&json!({ "logit_bias": { "9999999999": 1 } }))).ok().unwrap();
        assert!(beyond.check_tokens(u32::MAX).is_err() && beyond.sampling().logit_bias.is_empty());
    }

    #[test]
    fn a_completion_is_one_prompt_and_the_same_options() {
        let decode = |body: &Value| Body::decode_completion(body.to_string().as_bytes(), "smollm2");
        let body = decode(&json!({ "prompt": "a", "max_tokens": 5, "seed": 7, "stop": "x" }));
        let body = body.map_err(|error| error.to_string()).unwrap();
        assert_eq!((body.chat.prompt().as_ref(), body.max_tokens()), ("a", Some(5)));
        assert_eq!(body.sampling().seed, Some(7));
        for (field, value, start) in [
            ("echo", json!(true), "this engine does not know `echo`"),
            ("logprobs", json!(1), "`logprobs` is supported for chats only"),
            ("best_of", json!(2), "`best_of` must be 1"),
            ("suffix", json!("b"), "smollm2 does not support insert"),
            ("prompt", json!([1, 2]), "`prompt` must be one string"),
            ("top_p", json!(2), "top_p must be from 0 to 1"),
        ] {
            let mut body = json!({ "prompt": "a" });
            body[field] = value;
            let error = decode(&body).err().unwrap().to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn missing_features_are_refused_by_ollamas_names() {
        let tool = json!({ "type": "function", "function": { "name": "f" } });
        let call = json!({ "id": "1", "type": "function", "function": { "name": "f", "arguments": "{}" } });
        let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgoAAAAN" } });
        for (more, what) in [
            (json!({ "tools": [tool] }), "tools"),
            (json!({ "messages": [{ "role": "assistant", "tool_calls": [call] }] }), "tools"),
            (json!({ "messages": [{ "role": "tool", "content": "1" }] }), "tools"),
            (json!({ "messages": [{ "role": "user", "content": [image] }] }), "vision"),
            (json!({ "reasoning_effort": "high" }), "thinking"),
            (json!({ "logprobs": true }), "logprobs"),
            (json!({ "top_logprobs": 2 }), "logprobs"),
        ] {
            let error = decode(&with(&more)).err().unwrap().to_string();
            assert_eq!(error, format!("smollm2 does not support {what}"));
        }
        assert!(decode(&with(&json!({ "tools": [tool], "tool_choice": "none" }))).is_ok());
    }

    proptest! {
        /// Any body is a request or refused, with numbers of any size.
        #[test]
        fn any_body_is_survived(
            bytes in prop::collection::vec(any::<u8>(), 0..256),
            name in "max_tokens|n_predict|top_k|n|seed|temperature|stop|ignore_eos",
            value in any::<f64>(),
        ) {
            let _ = Body::decode(bytes, "m");
            let _ = decode(&with(&json!({ name.clone(): value }))).map(|body| (body.sampling(), body.max_tokens()));
            let _ = decode(&with(&json!({ name: value as i64 }))).map(|body| (body.sampling(), body.max_tokens()));
        }
    }

    #[test]
    fn errors_do_not_repeat_the_body() {
        for body in [
            "{\"messages\": \"my secret\"}",
            "my secret",
            "{\"messages\":[{\"role\":\"my secret\"}]}",
            "",
        ] {
            let error = Body::decode(body.as_bytes(), "m").err().unwrap();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
