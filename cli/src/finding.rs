//! What a check found: a name, how bad it is, and what to do.

use std::fmt;

use messages::{Message, message};
use serde::Serialize;
use services::systemd::TARGET;

use crate::output::{self, Format};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
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
pub(crate) struct Finding {
    /// Name of the check; stays the same between versions.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// What was found.
    pub(crate) text: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<Message>,
    /// What `maru doctor --fix` does about it.
    #[serde(skip)]
    pub(crate) repair: Option<Repair>,
}

/// A repair by which nothing can be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Makes folders, and sets their owners and modes as the service table says.
    Directories,
    /// Has systemd start the target at each boot.
    Enable,
    /// Restarts this unit, which does not answer.
    Restart(String),
    /// Makes a backup in the folder of the daily ones.
    Backup,
    /// Takes an update back that was cut short.
    TakeBack,
}

impl Repair {
    /// What it does, for people.
    pub(crate) fn text(&self) -> Message {
        match self {
            Self::Directories => message!("repair-directories"),
            Self::Enable => message!("repair-enable", target = TARGET),
            Self::Restart(unit) => message!("repair-restart", unit),
            Self::Backup => message!("repair-backup"),
            Self::TakeBack => message!("repair-take-back"),
        }
    }
}

impl Finding {
    pub(crate) fn ok(id: &'static str, text: impl Into<Message>) -> Self {
        Self { id, severity: Severity::Ok, text: text.into(), fix: None, repair: None }
    }

    pub(crate) fn warning(
        id: &'static str,
        text: impl Into<Message>,
        fix: impl Into<Message>,
    ) -> Self {
        Self {
            id,
            severity: Severity::Warning,
            text: text.into(),
            fix: Some(fix.into()),
            repair: None,
        }
    }

    /// With a repair for `maru doctor --fix`.
    pub(crate) fn repaired_by(self, repair: Repair) -> Self {
        Self { repair: Some(repair), ..self }
    }

    /// What to do, as text.
    pub(crate) fn fix_text(&self) -> String {
        self.fix.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn error(
        id: &'static str,
        text: impl Into<Message>,
        fix: impl Into<Message>,
    ) -> Self {
        Self {
            id,
            severity: Severity::Error,
            text: text.into(),
            fix: Some(fix.into()),
            repair: None,
        }
    }
}

/// Prints findings as a table, or else as a list.
pub(crate) fn print(format: Format, findings: &[Finding]) -> anyhow::Result<()> {
    output::list(format, findings, &message!("finding-heads"), |finding| {
        vec![
            finding.id.to_owned(),
            finding.severity.to_string(),
            finding.text.to_string(),
            finding.fix_text(),
        ]
    })
}
