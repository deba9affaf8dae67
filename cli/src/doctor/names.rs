//! Whether this machine's programs get the network's names.

use std::{net::IpAddr, process::Stdio, time::Duration};

use messages::message;
use node_agent_api::{State, Status};
use tokio::{process::Command, time::timeout};

use crate::finding::Finding;

const ID: &str = "names";
/// How long the system's resolver may take; it may ask several servers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the system's resolver for this node's own name, as programs do; nothing if the settings lead nobody to the agent.
pub(super) async fn check(status: &Status) -> Option<Finding> {
    if status.state != State::Running || status.dns.as_deref() == Some("off") {
        return None;
    }
    let (node, network) = (status.node.as_ref()?, status.network.as_ref()?);
    let name = format!("{}.{network}", node.name);
    // This program is static and cannot ask what the machine's C library asks.
    let mut asked = Command::new("getent");
    asked.args(["ahosts", &name]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let printed = match timeout(PATIENCE, asked.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Err(_)) => return None,
        Err(_) => String::new(),
    };
    Some(judge(&name, &printed, &node.addresses))
}

/// What `getent ahosts` printed, compared with the node's addresses.
fn judge(name: &str, printed: &str, own: &[IpAddr]) -> Finding {
    let mut found: Vec<&str> =
        printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    found.dedup();
    let is_own = |text: &&str| text.parse().is_ok_and(|address| own.contains(&address));
    if !found.is_empty() && found.iter().all(is_own) {
        return Finding::ok(ID, message!("names-found", name));
    }
    let text = match found.is_empty() {
        true => message!("names-not-found", name),
        false => message!("names-elsewhere", name, addresses = found.join(", ")),
    };
    Finding::warning(ID, text, message!("fix-names"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn only_the_nodes_own_addresses_are_an_answer() {
        let own = ["100.64.0.2".parse().unwrap(), "fd7a:115c:a1e0::2".parse().unwrap()];
        let judged = |printed| judge("laptop.maru.home.arpa", printed, &own);
        let right = "fd7a:115c:a1e0::2 STREAM laptop.maru.home.arpa\nfd7a:115c:a1e0::2 DGRAM\n100.64.0.2 STREAM\n";
        assert_eq!(judged(right).severity, Severity::Ok);
        for (printed, words) in [
            ("", "do not find"),
            ("192.0.2.66 STREAM laptop.maru.home.arpa\n", "192.0.2.66"),
            ("100.64.0.2 STREAM laptop.maru.home.arpa\n192.0.2.66 STREAM\n", "192.0.2.66"),
        ] {
            let found = judged(printed);
            assert_eq!(found.severity, Severity::Warning);
            assert!(found.text.to_string().contains(words), "{}", found.text);
        }
    }
}
