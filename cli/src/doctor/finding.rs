//! A check's result.

use std::fmt;

use messages::{Message, message};
use serde::Serialize;

use crate::output;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// No problem.
    Ok,
    /// It works, but a guarantee is weaker.
    Warning,
    /// It does not work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        message!("severity", severity = output::word(self)).fmt(f)
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Name of the check; stays the same between versions.
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What was found.
    pub(super) text: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<Message>,
}

impl Finding {
    pub(super) fn ok(id: &'static str, text: impl Into<Message>) -> Self {
        Self { id, severity: Severity::Ok, text: text.into(), fix: None }
    }

    pub(super) fn warning(
        id: &'static str,
        text: impl Into<Message>,
        fix: impl Into<Message>,
    ) -> Self {
        Self { id, severity: Severity::Warning, text: text.into(), fix: Some(fix.into()) }
    }

    /// What to do, as text.
    pub(super) fn fix_text(&self) -> String {
        self.fix.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    pub(super) fn error(
        id: &'static str,
        text: impl Into<Message>,
        fix: impl Into<Message>,
    ) -> Self {
        Self { id, severity: Severity::Error, text: text.into(), fix: Some(fix.into()) }
    }
}
