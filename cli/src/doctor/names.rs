//! Whether this machine's programs get the network's names.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use common::mesh::RESOLVER;
use messages::message;
use node_agent_api::{State, Status};
use tokio::{net::UdpSocket, process::Command, time::timeout};

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

/// Whether names of the internet are found through the exit node; nothing without one that can be used.
pub(super) async fn through_exit(status: &Status) -> Option<Finding> {
    let exit = status.exit_node.as_ref().filter(|exit| exit.usable)?;
    if status.state != State::Running {
        return None;
    }
    let name = &exit.name;
    if exit.no_resolver {
        let text = message!("names-no-exit-resolver", name);
        return Some(Finding::warning(ID, text, message!("fix-exit-resolver")));
    }
    let is_answered = timeout(PATIENCE, answers((RESOLVER, 53).into())).await;
    Some(match is_answered {
        Ok(Ok(true)) => Finding::ok(ID, message!("names-through-exit", name)),
        Ok(Ok(false) | Err(_)) | Err(_) => {
            let text = message!("names-not-through-exit", name);
            Finding::warning(ID, text, message!("fix-exit-resolver-silent", name))
        }
    })
}

/// Asks for the servers of the root zone, which every resolver of the internet knows, and which tells nothing about this machine.
async fn answers(resolver: SocketAddr) -> io::Result<bool> {
    // RFC 1035, section 4.1: an id, "recursion desired", one question: the root, NS, IN.
    const QUERY: [u8; 17] = [0x6d, 0x61, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(&QUERY).await?;
    let mut answer = [0; 512];
    let len = socket.recv(&mut answer).await?;
    // A resolver may refuse this question, and is there all the same; the agent itself says SERVFAIL (2) if none answers.
    Ok(len >= 12 && answer[..2] == QUERY[..2] && answer[2] & 0x80 != 0 && answer[3] & 15 != 2)
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

    #[tokio::test]
    async fn an_exit_node_without_a_resolver_is_named_with_the_setting() {
        let status = |usable, no_resolver| -> Status {
            let exit = serde_json::json!({ "name": "cabin", "usable": usable, "no_resolver": no_resolver });
            serde_json::from_value(serde_json::json!({
                "state": "running", "version": "0", "exit_node": exit,
            }))
            .unwrap()
        };
        let found = through_exit(&status(true, true)).await.unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.text.to_string().contains("cabin"), "{}", found.text);
        // A resolver of the exit node's network needs its subnet.
        for part in ["exit_node_dns", "advertise_routes", "maru route approve"] {
            assert!(found.fix_text().contains(part), "{}", found.fix_text());
        }
        assert!(through_exit(&status(false, true)).await.is_none());
    }

    #[tokio::test]
    async fn a_resolver_that_fails_does_not_answer() {
        let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // No error; no such name; a refusal; a failure; the query itself.
        for (flags, is_answer) in [
            ([0x81, 0x80], true),
            ([0x81, 0x83], true),
            ([0x81, 0x85], true),
            ([0x81, 0x82], false),
            ([1, 0], false),
        ] {
            let asked = tokio::spawn(answers(resolver.local_addr().unwrap()));
            let mut query = [0; 64];
            let (len, from) = resolver.recv_from(&mut query).await.unwrap();
            query[2..4].copy_from_slice(&flags);
            resolver.send_to(&query[..len], from).await.unwrap();
            assert_eq!(asked.await.unwrap().unwrap(), is_answer, "{flags:?}");
        }
    }

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
