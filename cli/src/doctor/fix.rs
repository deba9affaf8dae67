//! `maru doctor --fix`: repairs by which nothing can be lost. It asks before each one.

use std::{
    io::{IsTerminal as _, stdin},
    path::Path,
    process::ExitCode,
};

use anyhow::bail;
use messages::message;
use supervisor::directories;

use crate::{
    backup::{self, BackupArgs},
    error::Usage,
    finding::{Finding, Repair},
    output,
    units::systemctl,
    upgrade::{self, Start},
};

/// Fails without root's rights, if nobody can be asked, or beside an update, which stops and starts services itself.
pub(super) fn check(is_sure: bool, root: &Path) -> anyhow::Result<()> {
    backup::as_root("doctor --fix")?;
    if upgrade::is_going_on(root) {
        bail!(message!("upgrade-runs"));
    }
    if !is_sure && !stdin().is_terminal() {
        return Err(Usage(message!("repair-needs-yes")).into());
    }
    Ok(())
}

/// Repairs what these findings name; returns whether anything was tried.
pub(super) async fn all(findings: &[Finding], is_sure: bool, root: &Path) -> anyhow::Result<bool> {
    let mut repairs = Vec::new();
    for repair in findings.iter().filter_map(|finding| finding.repair.as_ref()) {
        if !repairs.contains(&repair) {
            repairs.push(repair);
        }
    }
    // Programs and data may not belong together until that is done.
    if repairs.contains(&&Repair::TakeBack) {
        repairs = vec![&Repair::TakeBack];
    }
    if repairs.is_empty() {
        output::note(message!("no-repair"));
        return Ok(false);
    }
    for repair in repairs {
        let text = repair.text();
        if !is_sure && !output::is_confirmed(&message!("repair-asks", repair = &text))? {
            output::note(message!("repair-left", repair = text));
            continue;
        }
        match perform(repair, root).await {
            Ok(()) => output::note(message!("repaired", repair = text)),
            Err(error) => {
                let error = format!("{error:#}");
                output::note(message!("repair-failed", repair = text, error));
            }
        }
    }
    Ok(true)
}

async fn perform(repair: &Repair, root: &Path) -> anyhow::Result<()> {
    match repair {
        Repair::Directories => directories::all(root),
        Repair::Enable => systemctl::enable().await,
        Repair::Restart(unit) => systemctl::restart(unit).await,
        Repair::Backup => {
            let args = BackupArgs { verify: true, ..BackupArgs::default() };
            if backup::run(&args, root)? != ExitCode::SUCCESS {
                bail!(message!("backup-incomplete"));
            }
            Ok(())
        }
        Repair::TakeBack => upgrade::take_back(Start::Now, root).await.map(|_| ()),
    }
}
