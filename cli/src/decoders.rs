//! Decoders of bytes from model servers, Ollama, daemons and the journal, public only for the fuzz targets.

use std::net::SocketAddr;

use reqwest::header::HeaderMap;

pub use crate::{
    log::entry::{Entry, Priority},
    ollama::answer::Step,
};
use crate::{
    metrics::text,
    model::{download, ollama as manifests},
    ollama::answer,
    up::ollama,
};

/// Where a part of a download begins, by an answer's headers, and what the server calls its content.
#[must_use]
pub fn download(headers: &HeaderMap) -> (Option<u64>, Option<String>) {
    (download::begins_at(headers), download::validator(headers))
}

/// The SHA-256 of the model file that a manifest of Ollama's names, if it names one; nothing if it is no manifest.
#[must_use]
pub fn manifest(bytes: &[u8]) -> Option<Option<[u8; 32]>> {
    manifests::manifest(bytes)
}

/// The models that Ollama's `/api/tags` lists, and how many were left out; nothing if it is no such answer.
#[must_use]
pub fn names(answer: &[u8]) -> Option<(Vec<String>, usize)> {
    let answer::Models { here, left_out } = answer::models(answer)?;
    Some((here.into_iter().map(|model| model.name).collect(), left_out))
}

/// How many tokens a conversation with a model holds, by Ollama's `/api/show`.
#[must_use]
pub fn context(answer: &[u8]) -> Option<u64> {
    ollama::context(answer)
}

/// The texts of `agent.toml` and `openclaw.json` after an Ollama at `at` with these models, each with its context, was
/// written into them; nothing for one that stays.
#[must_use]
pub fn edits(
    at: SocketAddr,
    models: &[(String, Option<u64>)],
    texts: [&str; 2],
) -> [Option<String>; 2] {
    ollama::edits(at, models, texts)
}

/// The metrics of a daemon whose names begin with `prefix`, in Prometheus' text format.
#[must_use]
pub fn metrics(answer: &str, prefix: &str) -> String {
    text::prometheus(answer, prefix)
}

/// The steps of a pull of Ollama's, of which these are the pieces; nothing if it is no pull.
#[must_use]
pub fn pull<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<Step>> {
    let mut reader = answer::PullReader::default();
    let pieces = pieces.into_iter().map(Some).chain([None]);
    let steps: Option<Vec<_>> = pieces.map(|piece| reader.add(piece)).collect();
    Some(steps?.concat())
}
