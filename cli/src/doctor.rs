//! `maru doctor`: finds problems of this machine, and says how to fix them.

use std::{path::Path, process::ExitCode};

use clap::Args;
use messages::{Language, message};

use crate::{
    finding::{self, Finding, Severity},
    output::{self, Format, OutputArgs},
    up,
};

mod backups;
pub(crate) mod certificates;
mod config;
mod coordinators;
pub(crate) mod expiry;
mod failures;
mod firewall;
mod fix;
mod host;
mod leftovers;
mod machine_key;
mod names;
mod paths;
mod providers;
mod read;
mod router;
mod services;
mod wireguard;

#[derive(Clone, Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Repair what can be repaired without risk; asks before each repair
    #[arg(long)]
    fix: bool,
    /// Do not ask
    #[arg(long, requires = "fix")]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs every check; exit status 1 if one found an error. After repairs it checks again.
pub(crate) async fn run(args: DoctorArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let format = args.output.output;
    // Findings quote errors, which are made in the current language; JSON and YAML are English.
    if format != Format::Table {
        Language::English.make_current();
    }
    if args.fix {
        fix::check(args.yes, root)?;
    }
    let mut findings = check(root).await;
    if args.fix {
        // Shown before it asks.
        if format == Format::Table {
            finding::print(format, &findings)?;
        }
        if fix::all(&findings, args.yes, root).await? {
            findings = check(root).await;
        } else if format == Format::Table {
            return Ok(status(worst(&findings)));
        }
    }
    let worst = worst(&findings);
    finding::print(format, &findings)?;
    if format == Format::Table && worst == Severity::Ok {
        output::note(message!("nothing-wrong"));
    }
    Ok(status(worst))
}

async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = host::check(root).await;
    findings.extend(services::check(root).await);
    findings.extend(router::check(root).await);
    findings.extend(leftovers::check(root));
    findings.extend(machine_key::check(root));
    findings.extend(failures::check(root).await);
    findings
}

/// What a machine should be told each day: what expires, and whether backups are made.
pub(crate) async fn due(root: &Path) -> Vec<Finding> {
    let mut findings = services::own_key(root).await;
    if let (true, Ok(settings)) = (up::config::is_there(root), up::config::coordinator(root)) {
        findings.extend(certificates::check(root, &settings));
        findings.extend(expiry::check(root).await);
        findings.push(backups::check(root));
    }
    findings
}

fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}

fn status(worst: Severity) -> ExitCode {
    if worst == Severity::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
