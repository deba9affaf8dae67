//! What an agent that was killed left in this machine.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use messages::message;
use node_agent_api::leftovers::{RECORD, RESOLV_CONF};
use services::{Instance, LOCAL_API};
use supervisor::local;

use crate::finding::Finding;

/// How long the agent's socket may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);

/// A finding if the agent does not run and something of it is there; an agent that runs needs it.
pub(super) fn check(root: &Path) -> Option<Finding> {
    if local::connector(&LOCAL_API, root).connect_blocking(PATIENCE).is_ok() {
        return None;
    }
    let resolver = [RECORD, RESOLV_CONF].iter().any(|path| root.join(path).exists());
    let firewall = has_table(&Instance::of(root).table());
    let what = match (resolver, firewall) {
        (false, false) => return None,
        (true, false) => "resolver",
        (false, true) => "firewall",
        (true, true) => "both",
    };
    let fix = format!("sudo maru-agent restore --root {}", root.display());
    Some(Finding::error("leftovers", message!("leftovers", what), fix))
}

/// Whether the nftables table is there; only root sees it.
fn has_table(table: &str) -> bool {
    let listed = Command::new("nft")
        .args(["list", "table", "inet", table])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    listed.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::finding::Severity;

    #[test]
    fn what_an_agent_left_is_named_while_none_runs() {
        let root = tempfile::tempdir().unwrap();
        assert!(check(root.path()).is_none());
        let record = root.path().join(RECORD);
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(&record, "systemd-resolved maru0\n").unwrap();
        let found = check(root.path()).unwrap();
        assert_eq!((found.id, found.severity), ("leftovers", Severity::Error));
        assert!(found.fix.unwrap().to_string().contains("maru-agent restore"));
    }
}
