//! `maru doctor`: looks for what is wrong on this machine, and says how to fix it.

use std::{path::Path, process::ExitCode};

use crate::output::{self, Format, OutputArgs};

mod certificates;
mod finding;
mod host;
mod providers;
mod read;
mod services;

use finding::Severity;

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
