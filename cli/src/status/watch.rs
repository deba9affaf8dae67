//! `maru status --watch`.
//!
//! It asks the agent each second, with a connection of its own: the agent keeps nothing for those who watch.

use std::{
    io::{ErrorKind, IsTerminal as _, Write as _, stdout},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use common::foreign;
use messages::message;
use node_agent_api::{Peer, State, Status, endpoints::STATUS};

use super::view::{self, StatusWithEvidence};
use crate::{
    client::Client,
    output::{self, Format},
    problem,
};

const PERIOD: Duration = Duration::from_secs(1);
/// Puts the cursor into the first column of the first line, and clears the terminal (ECMA-48).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Prints the status, and then each change, until the process is killed or its output is closed.
pub(super) async fn run(format: Format, root: &Path) -> anyhow::Result<ExitCode> {
    let redraws = format == Format::Table && stdout().is_terminal();
    let client = Client::agent(root);
    let mut known: Option<Status> = None;
    let mut was_silent = false;
    loop {
        match client.call(&STATUS, &[], &()).await {
            Ok(status) => {
                was_silent = false;
                if redraws {
                    output::raw(CLEAR)?;
                    view::print(format, &StatusWithEvidence::bare(&status))?;
                } else if !print_changes(format, known.as_ref(), &status)? {
                    return Ok(ExitCode::SUCCESS);
                }
                known = Some(status);
            }
            // The first question must be answered; later the agent may restart.
            Err(error) if known.is_none() => return Err(error),
            Err(error) => {
                if !was_silent {
                    output::note(format!("{error:#}"));
                }
                was_silent = true;
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Prints a line for each change since `known`; in JSON or YAML the whole status on one line, if anything changed. Returns
/// whether anybody still reads.
fn print_changes(format: Format, known: Option<&Status>, status: &Status) -> anyhow::Result<bool> {
    let changes = changes(known, status);
    let lines = match format {
        Format::Table => changes,
        Format::Json | Format::Yaml if changes.is_empty() => changes,
        Format::Json => vec![output::json(status)?],
        // JSON is YAML, too.
        Format::Yaml => vec!["---".to_owned(), output::json(status)?],
    };
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What changed, one line each: the state, what is wrong, coordinator and relay, and each peer. Counters are no change.
fn changes(known: Option<&Status>, status: &Status) -> Vec<String> {
    let before = known.map(of_device).unwrap_or_default();
    let mut lines: Vec<_> =
        of_device(status).into_iter().filter(|line| !before.contains(line)).collect();
    let old = known.map(|known| known.peers.as_slice()).unwrap_or_default();
    for peer in &status.peers {
        let line = of_peer(peer);
        let was = old.iter().find(|was| was.stable_id == peer.stable_id);
        if was.map(of_peer).as_ref() != Some(&line) {
            lines.push(line);
        }
    }
    let gone =
        old.iter().filter(|was| status.peers.iter().all(|peer| peer.stable_id != was.stable_id));
    lines.extend(gone.map(|peer| message!("watch-gone", name = peer.name).to_string()));
    lines.iter().map(|line| foreign::line(line)).collect()
}

fn of_device(status: &Status) -> Vec<String> {
    let mut lines = vec![message!("agent-state", state = output::word(&status.state)).to_string()];
    lines.extend(problem::of(status));
    // A paused node is connected to nothing.
    if status.state != State::Paused {
        let link = |is: bool| if is { message!("connected") } else { message!("not-connected") };
        lines.extend(status.coordinator.as_ref().map(|coordinator| {
            message!("watch-coordinator", state = link(coordinator.connected)).to_string()
        }));
        lines.extend(status.home_relay.as_ref().map(|relay| {
            message!("watch-relay", name = relay.name, state = link(relay.connected)).to_string()
        }));
    }
    lines
}

fn of_peer(peer: &Peer) -> String {
    let online = match peer.online {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    message!("watch-peer", name = peer.name, online, path = peer.path).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(connected: bool, peers: serde_json::Value) -> Status {
        serde_json::from_value(json!({
            "state": "running", "version": "0", "peers": peers,
            "coordinator": { "url": "http://a", "connected": connected },
        }))
        .unwrap()
    }

    fn peer(name: &str, online: bool, path: &str, bytes: u64) -> serde_json::Value {
        json!({ "name": name, "stable_id": name, "addresses": [], "online": online, "path": path,
                "rx_bytes": bytes, "last_handshake_s": bytes })
    }

    #[test]
    fn each_change_is_a_line_and_counters_are_none() {
        let first = status(true, json!([peer("phone", true, "relay", 1)]));
        assert_eq!(
            changes(None, &first),
            ["state: running", "coordinator: connected", "phone: online, relay"]
        );
        let counted = status(true, json!([peer("phone", true, "relay", 2)]));
        assert_eq!(changes(Some(&first), &counted), Vec::<String>::new());
        let moved = status(
            false,
            json!([peer("phone", true, "direct 192.0.2.1:41641", 2), peer("tv", false, "none", 0)]),
        );
        assert_eq!(
            changes(Some(&counted), &moved),
            [
                "coordinator: not connected",
                "phone: online, direct 192.0.2.1:41641",
                "tv: offline, none"
            ]
        );
        assert_eq!(
            changes(Some(&moved), &status(false, json!([peer("tv", false, "none", 0)]))),
            ["phone: gone"]
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let hostile = status(true, json!([peer("a\u{1b}[2J\nstate: expired", true, "relay", 1)]));
        let lines = changes(None, &hostile);
        assert_eq!(lines.len(), 3);
        assert!(!lines.iter().any(|line| line.chars().any(foreign::steers)), "{lines:?}");
    }
}
