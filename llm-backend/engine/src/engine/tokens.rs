//! The tokens of a prompt and its reply.

use std::ops::Deref;

use llama_cpp_2::token::LlamaToken;
use zeroize::Zeroize as _;

/// A tokenized text of a person. Its memory is zeroed when it is dropped, and when it grows out of it.
#[derive(Default)]
pub(crate) struct Tokens(Vec<LlamaToken>);

impl Tokens {
    /// The tokens without the first one.
    pub(super) fn without_first(self) -> Self {
        Self(self.0.get(1..).unwrap_or_default().to_vec())
    }

    /// Appends a token.
    pub(super) fn push(&mut self, token: LlamaToken) {
        self.append(&[token]);
    }

    /// Appends tokens.
    pub(super) fn append(&mut self, tokens: &[LlamaToken]) {
        let len = self.0.len() + tokens.len();
        if len > self.0.capacity() {
            let mut more = Vec::with_capacity(len.max(2 * self.0.len()).max(128));
            more.extend_from_slice(&self.0);
            // What is left behind is zeroed here.
            drop(Self(std::mem::replace(&mut self.0, more)));
        }
        self.0.extend_from_slice(tokens);
    }

    fn wipe(&mut self) {
        for token in &mut self.0 {
            token.0.zeroize();
        }
    }
}

impl From<Vec<LlamaToken>> for Tokens {
    fn from(tokens: Vec<LlamaToken>) -> Self {
        Self(tokens)
    }
}

impl Deref for Tokens {
    type Target = [LlamaToken];

    fn deref(&self) -> &[LlamaToken] {
        &self.0
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_and_keep_their_order_and_a_wipe_leaves_none() {
        let mut tokens = Tokens::from(vec![LlamaToken(7)]);
        (0..500).for_each(|number| tokens.push(LlamaToken(number)));
        assert_eq!((tokens.len(), tokens[0].0, tokens[500].0), (501, 7, 499));
        let tail = tokens.without_first();
        assert_eq!((tail.len(), tail[0].0), (500, 0));

        let mut tokens = tail;
        tokens.wipe();
        assert!(tokens.iter().all(|token| token.0 == 0));
        assert!(Tokens::default().without_first().is_empty());
    }
}
