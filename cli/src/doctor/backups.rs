//! Whether the daily backups are made.

use std::{path::Path, time::SystemTime};

use coordinator_core::time::{self, DAY, Millis};
use messages::message;

use crate::{
    backup::kept::BackupFolder,
    finding::{Finding, Repair},
    up::saved_options::SavedOptions,
};

const ID: &str = "backups";
/// A newest backup of more days means that one was missed.
const OLD_DAYS: i64 = 2;

/// Looks at the folder, which only root may.
pub(super) fn check(root: &Path) -> Finding {
    let told = SavedOptions::load(root).unwrap_or_default();
    let kept = BackupFolder::of(root, &told);
    // The first backup makes a folder that nobody chose.
    if told.backups.is_none() && kept.folder.symlink_metadata().is_err() {
        return judge(None, 0);
    }
    if let Err(error) = kept.check() {
        return Finding::error(ID, format!("{error:#}"), message!("fix-backups"));
    }
    match kept.newest() {
        Ok(newest) => judge(newest, time::from_system(SystemTime::now())),
        Err(error) => Finding::error(ID, format!("{error:#}"), message!("fix-backups")),
    }
}

fn judge(newest: Option<Millis>, now: Millis) -> Finding {
    let (text, severe) = match newest {
        None => (message!("backups-none"), false),
        Some(at) if now - at > OLD_DAYS * DAY => {
            (message!("backups-old", days = (now - at) / DAY), true)
        }
        Some(at) => {
            return Finding::ok(ID, message!("backups-fresh", made = time::to_rfc3339(at)));
        }
    };
    let finding = if severe { Finding::error } else { Finding::warning };
    finding(ID, text, message!("fix-backups")).repaired_by(Repair::Backup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn a_backup_that_was_missed_is_an_error() {
        let now = 100 * DAY;
        for (newest, severity) in [
            (None, Severity::Warning),
            (Some(now - OLD_DAYS * DAY - 1), Severity::Error),
            (Some(now - OLD_DAYS * DAY), Severity::Ok),
            // The clock was set back.
            (Some(now + DAY), Severity::Ok),
        ] {
            let found = judge(newest, now);
            assert_eq!(found.severity, severity, "{found:?}");
            assert_eq!(found.repair.is_some(), severity != Severity::Ok);
        }
    }
}
