//! How much of the workspace a prompt contains: `bootstrapMaxChars` and `bootstrapTotalMaxChars`.

use ai_gateway_api::config::PROMPT_HALF_TOKENS;

/// How much of the workspace files a prompt contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptLimit {
    /// Most characters of one file, if limited.
    file: Option<usize>,
    /// Most characters of all files; without it tokens are estimated.
    total: Option<usize>,
}

impl PromptLimit {
    /// From the settings, in characters.
    #[must_use]
    pub(crate) const fn new(file: Option<usize>, total: Option<usize>) -> Self {
        Self { file, total }
    }

    /// What all files may cost.
    pub(crate) fn total(self) -> usize {
        self.total.unwrap_or(PROMPT_HALF_TOKENS)
    }

    /// What one file may cost.
    pub(crate) fn file(self) -> usize {
        // A file's limit is in characters; where tokens are estimated, one of its characters may cost more.
        self.file.unwrap_or(usize::MAX)
    }

    /// What a character costs: 1 if characters are counted; otherwise half tokens, at least as many as a tokenizer makes of
    /// text that people write. Vocabularies have most words of letters, each digit may be a token, and other scripts may be
    /// one token for each byte. (`SmolLM2` makes 41 % of this estimate of English, 88 % of Korean, 95 % of numbers.)
    pub(crate) fn cost(self, c: char) -> usize {
        match c {
            _ if self.total.is_some() => 1,
            'a'..='z' | 'A'..='Z' | ' ' => 1,
            _ => 2 * c.len_utf8(),
        }
    }
}
