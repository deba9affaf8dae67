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
    #[error("openclaw.json: neither OpenClaw nor Maru has a key `{at}`: {}", remedy(*.nearest))]
    Unknown {
        /// The key, with its parents.
        at: String,
        /// The nearest key that may be there.
        nearest: Option<&'static str>,
    },
    /// A line of the file of variables is wrong.
    #[error("{}, line {line}: {reason}", .path.display())]
    Variables {
        /// The file.
        path: PathBuf,
        /// The line's number.
        line: usize,
        /// What is wrong, and what to write; it contains no text of the file.
        reason: &'static str,
    },
    /// A variable has no value.
    #[error(
        "openclaw.json: `{at}` needs the variable {name}, which has no value: write `{name}=…` into {}, as a file that only \
         the gateway can read",
        .file.display()
    )]
    Missing {
        /// The key whose value names the variable.
        at: String,
        /// The variable.
        name: String,
        /// The file of variables.
        file: PathBuf,
    },
    /// A value is invalid.
    #[error("openclaw.json: `{at}` is wrong: {reason}")]
    Value {
        /// The key.
        at: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

impl OpenClawError {
    /// The same error with its texts passed through `hide`, because they may contain values of variables.
    pub(super) fn hidden(self, hide: impl Fn(String) -> String) -> Self {
        match self {
            Self::Value { at, reason } => Self::Value { at: hide(at), reason: hide(reason) },
            other @ (Self::Read { .. }
            | Self::Syntax(_)
            | Self::Unknown { .. }
            | Self::Variables { .. }
            | Self::Missing { .. }) => other,
        }
    }
}

fn remedy(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "correct or remove it".to_owned(),
        |nearest| format!("write `{nearest}`, or remove it"),
    )
}

pub(super) fn wrong(at: impl Into<String>, reason: impl Into<String>) -> OpenClawError {
    OpenClawError::Value { at: at.into(), reason: reason.into() }
}
