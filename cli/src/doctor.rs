//! `maru doctor`: finds problems of this machine, and says how to fix them.

use messages::{Language, message};
use std::{path::Path, process::ExitCode};

use crate::{
    finding::{self, Severity},
    output::{self, Format, OutputArgs},
};

pub(crate) mod certificates;
mod config;
mod failures;
mod host;
mod providers;
mod read;
mod services;

/// Runs every check; exit status 1 if one found an error.
pub(crate) async fn run(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    // Findings quote errors, which are made in the current language; JSON and YAML are English.
    if args.output != Format::Table {
        Language::English.make_current();
    }
    let mut findings = host::check(root).await;
    findings.extend(services::check(root).await);
    findings.extend(failures::check(root).await);
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    finding::print(args.output, &findings)?;
    if args.output == Format::Table && worst == Severity::Ok {
        output::note(message!("nothing-wrong"));
    }
    Ok(if worst == Severity::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
