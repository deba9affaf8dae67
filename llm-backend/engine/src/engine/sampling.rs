//! How the next token is chosen.

use llama_cpp_2::{sampling::LlamaSampler, token::logit_bias::LlamaLogitBias};

use super::model::Model;

/// Asks llama.cpp to draw a seed (`LLAMA_DEFAULT_SEED` in llama.h).
const RANDOM_SEED: u32 = u32::MAX;
/// How far back repetitions count, in tokens; llama-server's default.
const PENALTY_WINDOW: i32 = 64;

/// How the next token is chosen; the defaults are llama-server's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sampling {
    /// 0 takes the likeliest token.
    pub(crate) temperature: f32,
    /// Candidates, 0 for all.
    pub(crate) top_k: i32,
    /// Share of probability that candidates cover.
    pub(crate) top_p: f32,
    /// Least probability of a candidate, relative to the likeliest.
    pub(crate) min_p: f32,
    /// 1 is none.
    pub(crate) repeat_penalty: f32,
    /// 0 is none.
    pub(crate) frequency_penalty: f32,
    /// 0 is none.
    pub(crate) presence_penalty: f32,
    /// Makes choices repeatable.
    pub(crate) seed: Option<u32>,
    /// Never chooses a token that ends the reply.
    pub(crate) ignore_eos: bool,
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

impl Sampling {
    /// Makes the chain for one reply.
    pub(super) fn chain(&self, model: &Model) -> LlamaSampler {
        let n_vocab = model.llama().n_vocab();
        let mut chain = Vec::new();
        if self.ignore_eos {
            let never = |&token| LlamaLogitBias::new(token, f32::NEG_INFINITY);
            let never: Vec<_> = model.ends().iter().map(never).collect();
            chain.push(LlamaSampler::logit_bias(n_vocab, &never));
        }
        let penalties = (self.repeat_penalty, self.frequency_penalty, self.presence_penalty);
        if penalties != (1.0, 0.0, 0.0) {
            let (repeat, frequency, presence) = penalties;
            chain.push(LlamaSampler::penalties(
                n_vocab,
                PENALTY_WINDOW,
                repeat,
                frequency,
                presence,
            ));
        }
        if self.temperature <= 0.0 {
            chain.push(LlamaSampler::greedy());
        } else {
            chain.push(LlamaSampler::top_k(self.top_k));
            chain.push(LlamaSampler::top_p(self.top_p, 1));
            chain.push(LlamaSampler::min_p(self.min_p, 1));
            chain.push(LlamaSampler::temp(self.temperature));
            chain.push(LlamaSampler::dist(self.seed.unwrap_or(RANDOM_SEED)));
        }
        LlamaSampler::chain(chain, true)
    }
}
