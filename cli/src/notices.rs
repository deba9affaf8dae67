//! `maru notices`: what `maru-notices.service` writes into the journal each day.

use std::{path::Path, process::ExitCode};

use common::foreign;

use crate::{backup, doctor, finding::Severity, output};

/// Notes what expires soon, or has. Nothing is no failure.
pub(crate) async fn run(root: &Path) -> anyhow::Result<ExitCode> {
    backup::as_root("notices")?;
    // The journal takes the level from the line's beginning (sd-daemon(3)).
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    for finding in doctor::due(root).await {
        let level = match finding.severity {
            Severity::Ok => continue,
            Severity::Warning => "<4>",
            Severity::Error => "<3>",
        };
        let level = if in_journal { level } else { "" };
        let (text, fix) = (finding.text.to_string(), finding.fix_text());
        output::note(format!("{level}{}: {}", foreign::line(&text), foreign::line(&fix)));
    }
    Ok(ExitCode::SUCCESS)
}
