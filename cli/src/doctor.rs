//! `maru doctor`: looks for what is wrong on this machine, and says how to fix it.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::output::{self, Format, OutputArgs};

mod certificates;
mod host;
mod providers;
mod services;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
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
struct Finding {
    /// Name of the check; stays the same between versions.
    id: &'static str,
    severity: Severity,
    /// What was found.
    text: String,
    /// What to do; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

impl Finding {
    fn ok(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, severity: Severity::Ok, text: text.into(), fix: String::new() }
    }

    fn warning(id: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { id, severity: Severity::Warning, text: text.into(), fix: fix.into() }
    }

    fn error(id: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { id, severity: Severity::Error, text: text.into(), fix: fix.into() }
    }
}

/// Runs every check; exit status 1 if one found an error.
pub(crate) async fn run(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let mut findings = host::check(root).await;
    findings.extend(services::check(root).await);
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    let headers = ["CHECK", "RESULT", "FOUND", "FIX"];
    output::list(args.output, &findings, &headers, |finding| {
        vec![
            finding.id.to_owned(),
            finding.severity.to_string(),
            finding.text.clone(),
            finding.fix.clone(),
        ]
    })?;
    if args.output == Format::Table && worst == Severity::Ok {
        output::note("Nothing is wrong.");
    }
    Ok(if worst == Severity::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(path: impl Into<PathBuf>) -> String {
    std::fs::read_to_string(path.into()).unwrap_or_default()
}
