//! A check's result.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// Works, but a promise is weaker.
    Warning,
    /// Does not work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Name of the check; stays the same between versions.
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What was found.
    pub(super) text: String,
    /// What to do; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn ok(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, severity: Severity::Ok, text: text.into(), fix: String::new() }
    }

    pub(super) fn warning(
        id: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { id, severity: Severity::Warning, text: text.into(), fix: fix.into() }
    }

    pub(super) fn error(id: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { id, severity: Severity::Error, text: text.into(), fix: fix.into() }
    }
}
