//! The grammar that a reply follows.

use llama_cpp_2::{
    sampling::LlamaSampler,
    token::{LlamaToken, data::LlamaTokenData, data_array::LlamaTokenDataArray},
};

use super::model::Model;

/// A grammar and the place in it that a reply has reached.
pub(crate) struct Grammar(LlamaSampler);

impl Grammar {
    /// Takes a grammar whose start is `root`; [`None`] if llama.cpp cannot use it.
    pub(crate) fn new(model: &Model, text: &str) -> Option<Self> {
        LlamaSampler::grammar(model.llama(), text, "root").ok().map(Self)
    }

    /// Whether a token may be next.
    pub(super) fn allows(&mut self, token: LlamaToken, model: &Model) -> bool {
        let mut one = LlamaTokenDataArray::new(vec![LlamaTokenData::new(token, 0.0, 0.0)], false);
        self.restrict(&mut one, model)
    }

    /// Makes every other token impossible; returns whether one is left.
    ///
    /// A control token is nothing in a reply's text, so it stands for none of it.
    pub(super) fn restrict(&mut self, tokens: &mut LlamaTokenDataArray, model: &Model) -> bool {
        tokens.apply_sampler(&mut self.0);
        let vocab = model.llama().vocab();
        let mut any = false;
        for token in tokens.data.iter_mut().filter(|token| token.logit() > f32::NEG_INFINITY) {
            if vocab.is_control(token.id()) && !vocab.is_eog(token.id()) {
                token.set_logit(f32::NEG_INFINITY);
            } else {
                any = true;
            }
        }
        any
    }

    /// Goes on behind a token, which it allows and which does not end the reply.
    pub(super) fn accept(&mut self, token: LlamaToken) -> bool {
        self.0.try_accept(token).is_ok()
    }
}
