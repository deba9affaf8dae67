//! Why `openclaw.json` cannot be used.

use std::{io, path::PathBuf};

/// `openclaw.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenClawError {
    /// It could not be read.
    #[error("cannot read {}: check its permissions", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not JSON5.
    #[error("openclaw.json is not valid JSON5: {0}")]
    Syntax(String),
    /// A key is neither one of OpenClaw's nor one of Maru's own.
    #[error("openclaw.json: neither OpenClaw nor Maru has a key `{0}`: correct or remove it")]
    Unknown(String),
    /// A value is invalid.
    #[error("openclaw.json: `{at}` is wrong: {reason}")]
    Value {
        /// The key.
        at: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

pub(super) fn wrong(at: impl Into<String>, reason: impl Into<String>) -> OpenClawError {
    OpenClawError::Value { at: at.into(), reason: reason.into() }
}
