//! How the next token is chosen.

use llama_cpp_2::{
    context::LlamaContext,
    sampling::LlamaSampler,
    token::{LlamaToken, logit_bias::LlamaLogitBias},
};

use super::{grammar::Grammar, model::Model};
use crate::request::Sampling;

/// Lets llama.cpp choose a random seed (`LLAMA_DEFAULT_SEED` in llama.h).
const RANDOM_SEED: u32 = u32::MAX;
/// How far back repetitions count, in tokens, also in the prompt; llama-server's default.
const PENALTY_WINDOW: usize = 64;

/// Chooses the tokens of one reply.
pub(super) struct Sampler {
    chain: LlamaSampler,
    grammar: Option<Grammar>,
}

impl Sampler {
    /// Starts the reply to a prompt.
    pub(super) fn new(
        sampling: &Sampling,
        grammar: Option<Grammar>,
        model: &Model,
        prompt: &[LlamaToken],
    ) -> Self {
        Self { chain: sampling.chain(model, prompt), grammar }
    }

    /// Chooses the next token for an output of the last batch; [`None`] if the grammar leaves none.
    ///
    /// As in llama-server, all tokens are checked only if the one that was chosen is not allowed.
    pub(super) fn sample(
        &mut self,
        context: &LlamaContext<'_>,
        output: i32,
        model: &Model,
    ) -> Option<LlamaToken> {
        let Some(grammar) = &mut self.grammar else {
            return Some(self.chain.sample(context, output));
        };
        let mut tokens = context.token_data_array_ith(output);
        tokens.apply_sampler(&mut self.chain);
        let mut token = tokens.selected_token()?;
        if !grammar.allows(token, model) {
            tokens = context.token_data_array_ith(output);
            if !grammar.restrict(&mut tokens, model) {
                return None;
            }
            tokens.apply_sampler(&mut self.chain);
            let chosen = tokens.selected_token()?;
            // A bias or penalty may have moved a logit: what the grammar does not take would end the engine.
            if !grammar.allows(chosen, model) {
                return None;
            }
            token = chosen;
        }
        let goes_on = model.ends().contains(&token) || grammar.accept(token);
        self.chain.accept(token);
        goes_on.then_some(token)
    }
}

impl Sampling {
    /// Makes the chain for the reply to a prompt.
    fn chain(&self, model: &Model, prompt: &[LlamaToken]) -> LlamaSampler {
        let n_vocab = model.llama().n_vocab();
        let mut chain = Vec::new();
        let bias = |&(id, bias)| LlamaLogitBias::new(LlamaToken(id), bias);
        let mut biases: Vec<_> = self.logit_bias.iter().map(bias).collect();
        if self.ignore_eos {
            let never = |&token| LlamaLogitBias::new(token, f32::NEG_INFINITY);
            biases.extend(model.ends().iter().map(never));
        }
        if !biases.is_empty() {
            chain.push(LlamaSampler::logit_bias(n_vocab, &biases));
        }
        let penalties = (self.repeat_penalty, self.frequency_penalty, self.presence_penalty);
        if penalties != (1.0, 0.0, 0.0) {
            let (repeat, frequency, presence) = penalties;
            chain.push(LlamaSampler::penalties(
                n_vocab,
                i32::try_from(PENALTY_WINDOW).unwrap_or(i32::MAX),
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
        let recent = prompt.len().saturating_sub(PENALTY_WINDOW);
        LlamaSampler::chain(chain, true).with_tokens(&prompt[recent..])
    }
}
