//! An Ollama server, and the edits of the files that name it.

use std::net::SocketAddr;

/// A model of Ollama's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::up) struct Model {
    /// Its name there.
    pub(super) id: String,
    /// Tokens of a conversation, if known.
    pub(super) context: Option<u64>,
}

/// An Ollama server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::up) struct OllamaServer {
    /// The address.
    pub(super) at: SocketAddr,
    /// What runs there.
    pub(super) models: Vec<Model>,
    /// How many models were left out: they run elsewhere, or have a name that Ollama gives to none.
    pub(super) left_out: usize,
}

/// The edit of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// It is up to date.
    Same,
    /// Its new text.
    New(String),
    /// It cannot be edited safely.
    ByHand,
    /// Maru did not write it, and it may not be changed.
    Foreign,
}
