//! The APIs of providers.

/// The API of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's chat completions: `maru-llm`, llama-server, vLLM.
    OpenAi,
    /// Ollama's own API.
    Ollama,
    /// Maru's confidential chain.
    Confidential,
}

impl Api {
    /// Parses OpenClaw's name of the API.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "openai-completions" => Some(Self::OpenAi),
            "ollama" => Some(Self::Ollama),
            "maru-confidential" => Some(Self::Confidential),
            _ => None,
        }
    }
}
