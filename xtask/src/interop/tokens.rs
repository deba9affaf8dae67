//! The tokens of prompts that an engine counts.

use anyhow::{Context as _, Result};

/// Tokens of prompts so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    /// Those that the engine read.
    pub(super) read: u64,
    /// Those that it had read before.
    pub(super) cached: u64,
}

impl Tokens {
    /// As `GET /metrics` of llama.cpp's server counts them.
    pub(super) fn of(metrics: &str) -> Result<Self> {
        let count = |name: &str| {
            let found =
                metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            found.with_context(|| format!("no {name}: {metrics}"))
        };
        Ok(Self {
            read: count("llamacpp:prompt_tokens_total")?,
            cached: count("llamacpp:prompt_tokens_cached_total")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_from_metrics() {
        let text = "# HELP llamacpp:prompt_tokens_total Prompt tokens\n\
            llamacpp:prompt_tokens_total 34\nllamacpp:prompt_tokens_cached_total 32\n";
        let tokens = Tokens::of(text).unwrap();
        assert_eq!((tokens.read, tokens.cached), (34, 32));
        assert!(Tokens::of("llamacpp:prompt_tokens_total 34").is_err());
    }
}
