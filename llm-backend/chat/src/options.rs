//! How the next token is chosen and when generation ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

use crate::decode::{DecodeError, Fields, texts};

/// Most stop texts.
const STOPS_MAX: usize = 64;
/// Most tokens with a bias.
const BIASES_MAX: usize = 1024;
/// Most alternatives reported for a token; OpenAI's limit.
const ALTERNATIVES_MAX: u32 = 20;

/// How hard a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// As usual.
    Medium,
    /// Thoroughly.
    High,
    /// As thoroughly as it can.
    #[serde(alias = "max")]
    Xhigh,
}

/// How the next token is chosen and when generation ends. The backend's defaults apply to absent options.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Options {
    /// Most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Randomness; 0 always takes the likeliest token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Total probability of the tokens to choose from, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Number of likeliest tokens to choose from; 0 or less for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<i32>,
    /// Least probability of a token, relative to the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Makes the randomness repeatable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Texts that end generation. Decodes from one string, a list or null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Reduces a token's likelihood for each time that it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Reduces a token's likelihood once it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Divides the likelihood of used tokens; 1 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_penalty: Option<f32>,
    /// Added to a token's likelihood, by token id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<String, f32>,
    /// Whether each token's log probability is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    /// Number of alternatives to each token that are reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u32>,
    /// Whether generation continues after the model's own end (llama-server's `ignore_eos`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_eos: bool,
}

impl Options {
    /// Takes the options' fields of a request.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        let count = "a whole number from 0 to 4294967295";
        // If a client sends both names, the newer one counts.
        let older = fields.limit("max_tokens")?;
        let newer = fields.limit("max_completion_tokens")?;
        // llama-server's name; a negative number means no limit.
        let n_predict: Option<i64> = fields.whole("n_predict", "a whole number")?;
        let n_predict = n_predict.filter(|&number| number >= 0);
        let n_predict = n_predict.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let options = Self {
            max_tokens: newer.or(older).or(n_predict),
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            top_k: fields.whole("top_k", "a whole number")?,
            min_p: fields.number("min_p")?,
            seed: fields.whole_or_none("seed", "a random one")?,
            stop: stops(fields)?,
            frequency_penalty: fields.number("frequency_penalty")?,
            presence_penalty: fields.number("presence_penalty")?,
            repeat_penalty: fields.number("repeat_penalty")?,
            logit_bias: biases(fields)?,
            logprobs: fields.flag("logprobs")?,
            top_logprobs: fields.whole("top_logprobs", count)?,
            ignore_eos: fields.flag("ignore_eos")?.unwrap_or_default(),
        };
        if options.top_logprobs.is_some_and(|number| number > ALTERNATIVES_MAX) {
            let reason = format!("must be at most {ALTERNATIVES_MAX}");
            return Err(DecodeError::field(fields.path("top_logprobs"), reason));
        }
        Ok(options)
    }

    /// Whether log probabilities of tokens are requested.
    #[must_use]
    pub fn wants_logprobs(&self) -> bool {
        self.logprobs == Some(true) || self.top_logprobs.is_some_and(|number| number > 0)
    }
}

/// Texts that end generation: one, or a list of them. Empty ones are ignored, because they would end every reply at
/// once.
pub(crate) fn stops(fields: &mut Fields<'_>) -> Result<Vec<String>, DecodeError> {
    let Some(raw) = fields.raw("stop") else {
        return Ok(Vec::new());
    };
    let mut stops = texts::<STOPS_MAX>(raw).ok_or_else(|| {
        let reason = format!("must be a string, or a list of at most {STOPS_MAX}");
        DecodeError::field(fields.path("stop"), reason)
    })?;
    stops.retain(|stop| !stop.is_empty());
    Ok(stops)
}

fn biases(fields: &mut Fields<'_>) -> Result<BTreeMap<String, f32>, DecodeError> {
    let biases: BTreeMap<String, f32> =
        fields.take("logit_bias", "an object of numbers by token id")?.unwrap_or_default();
    let is_token = |name: &String| name.len() <= 10 && name.bytes().all(|b| b.is_ascii_digit());
    let fits = |bias: &f32| (-100.0..=100.0).contains(bias);
    if biases.len() > BIASES_MAX || !biases.iter().all(|(id, bias)| is_token(id) && fits(bias)) {
        let reason = format!("must have at most {BIASES_MAX} numbers from -100 to 100 by token id");
        return Err(DecodeError::field(fields.path("logit_bias"), reason));
    }
    Ok(biases)
}

/// From text in memory only, because it borrows the JSON. Unknown fields are refused.
impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = |raw: &RawValue| {
            let mut fields = Fields::open(raw, "options")?;
            let options = Self::read(&mut fields)?;
            fields.finish(&[]).map(|()| options)
        };
        read(<&RawValue>::deserialize(from)?).map_err(D::Error::custom)
    }
}
