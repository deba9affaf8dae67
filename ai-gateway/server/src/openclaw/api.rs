//! What providers speak.

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's chat completions: `maru-llm`, llama-server, vLLM.
    OpenAi,
    /// Ollama's own.
    Ollama,
    /// The confidential chain, Maru's own.
    Confidential,
}

impl Api {
    /// Reads OpenClaw's word for it.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "openai-completions" => Some(Self::OpenAi),
            "ollama" => Some(Self::Ollama),
            "maru-confidential" => Some(Self::Confidential),
            _ => None,
        }
    }
}
