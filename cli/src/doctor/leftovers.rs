//! What an agent that was killed left in this machine.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use messages::message;
use node_agent_api::leftovers::{KILL_SWITCH, RECORD, RESOLV_CONF};
use services::{Instance, LOCAL_API};
use supervisor::local;

use crate::finding::Finding;

/// How long the agent's socket may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);

/// A finding for each thing of the agent's that is there while it does not run; an agent that runs needs it.
pub(super) fn check(root: &Path) -> Vec<Finding> {
    if local::connector(&LOCAL_API, root).connect_blocking(PATIENCE).is_ok() {
        return Vec::new();
    }
    let resolver = [RECORD, RESOLV_CONF].iter().any(|path| root.join(path).exists());
    let table = table(&Instance::of(root).table());
    let found = resolver.then_some("resolver").into_iter().chain(table.as_deref().map(of_table));
    let command = format!("sudo maru-agent restore --root {}", root.display());
    let finding = |what| {
        let fix = match what {
            "kill-switch" => message!("fix-kill-switch", command = &command),
            _ => command.clone().into(),
        };
        Finding::error("leftovers", message!("leftovers", what), fix)
    };
    found.map(finding).collect()
}

/// What the table does to this machine.
fn of_table(listed: &str) -> &'static str {
    let chain = format!("chain {KILL_SWITCH} {{");
    if listed.contains(&chain) { "kill-switch" } else { "firewall" }
}

/// The nftables table, if it is there; only root sees it.
fn table(name: &str) -> Option<String> {
    let listed = Command::new("nft")
        .args(["list", "table", "inet", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    listed.status.success().then(|| String::from_utf8_lossy(&listed.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::finding::Severity;

    #[test]
    fn what_an_agent_left_is_named_while_none_runs() {
        let root = tempfile::tempdir().unwrap();
        assert!(check(root.path()).is_empty());
        let record = root.path().join(RECORD);
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(&record, "systemd-resolved maru0\n").unwrap();
        let found = check(root.path());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, found[0].severity), ("leftovers", Severity::Error));
        assert!(found[0].fix_text().contains("maru-agent restore"));
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_kill_switch_that_stayed_is_named_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let machine = lab::Machine::new("laptop").unwrap();
        let name = Instance::of(root.path()).table();
        let found = || machine.in_network(|| check(root.path()));
        for (chain, word) in [("arriving", "nftables table"), (KILL_SWITCH, "nothing leaves")] {
            machine.sh(&format!("nft 'table inet {name} {{ chain {chain} {{ }}; }}'")).unwrap();
            let found = found();
            assert_eq!(found.len(), 1);
            assert!(found[0].text.to_string().contains(word), "{:?}", found[0]);
            assert!(found[0].fix_text().contains("maru-agent restore"), "{:?}", found[0]);
        }
    }
}
