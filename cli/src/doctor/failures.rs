//! The last failure of each unit.

use std::{path::Path, time::Duration};

use common::foreign;
use messages::message;
use services::SERVICES;

use crate::{finding::Finding, log::daemons::last_failure, units};

/// How far back failures are named.
const BACK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most characters of what is quoted.
const TEXT_MAX: usize = 300;

/// What each unit said last when it failed. It may be over: whether a service answers is another check's.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    if !rustix::process::geteuid().is_root() || !units::are_installed(root).await {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for service in SERVICES {
        let unit = service.unit();
        if let Some(entry) = last_failure(&unit, BACK).await {
            let (at, text) =
                (entry.at.strftime("%F %T UTC"), foreign::short(&entry.message, TEXT_MAX));
            findings.push(Finding::ok("failures", message!("last-failure", unit, at, text)));
        }
    }
    findings
}
