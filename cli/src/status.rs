//! `maru status`.

use std::{path::Path, process::ExitCode};

use node_agent_api::{State, Status, endpoints::STATUS};
use serde::Serialize;

use crate::{
    client::Client,
    confidential,
    fingerprint::Fingerprint,
    output::{self, Format, OutputArgs},
};

/// Prints where this device stands; exit status 1 unless it is a running node.
pub(crate) async fn run(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let status = Client::agent(root).call(&STATUS, &[], &()).await?;
    let shown = Shown { status: &status, simulated: confidential::simulated(root) };
    output::one(args.output, &shown, &shown.rows())?;
    if args.output == Format::Table && !status.peers.is_empty() {
        output::line("")?;
        let headers = ["PEER", "USER", "TAGS", "ADDRESS", "ONLINE", "PATH"];
        output::list(Format::Table, &status.peers, &headers, |peer| {
            vec![
                peer.name.clone(),
                peer.user.clone().unwrap_or_default(),
                peer.tags.join(" "),
                peer.addresses.first().map(ToString::to_string).unwrap_or_default(),
                peer.online.map(output::yes).unwrap_or_default(),
                peer.path.clone(),
            ]
        })?;
    }
    let running = status.state == State::Running;
    if args.output == Format::Table && !running {
        output::note(next(status.state));
    }
    Ok(if running { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the agent says, and what of the settings at home everybody should know.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    status: &'a Status,
    /// Deployments of which this home takes evidence that proves nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    simulated: Vec<String>,
}

impl Shown<'_> {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = rows(self.status);
        let says =
            |name: &String| format!("{name} proves nothing: SIMULATED evidence is taken of it");
        rows.extend(self.simulated.iter().map(|name| ("confidential", says(name))));
        rows
    }
}

fn rows(status: &Status) -> Vec<(&'static str, String)> {
    let node = status.node.as_ref();
    let addresses = |addresses: &[std::net::IpAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let connected = |is: bool| if is { "connected" } else { "not connected" };
    vec![
        ("state", status.state.name().replace('_', " ")),
        ("problem", status.problem.clone().unwrap_or_default()),
        ("network", status.network.clone().unwrap_or_default()),
        ("name", node.map(|node| node.name.clone()).unwrap_or_default()),
        ("addresses", node.map(|node| addresses(&node.addresses)).unwrap_or_default()),
        ("key expires", node.and_then(|node| node.key_expiry.clone()).unwrap_or_default()),
        (
            "coordinator",
            status.coordinator.as_ref().map_or_else(String::new, |coordinator| {
                format!("{} ({})", coordinator.url, connected(coordinator.connected))
            }),
        ),
        (
            "relay",
            status.home_relay.as_ref().map_or_else(String::new, |relay| {
                format!("{} ({})", relay.name, connected(relay.connected))
            }),
        ),
        (
            "gateway",
            status.gateway.as_ref().map_or_else(String::new, |gateway| {
                format!("{} {}", gateway.host, addresses(&gateway.addresses))
            }),
        ),
        (
            "gateway's fingerprint",
            status
                .gateway
                .as_ref()
                .and_then(|gateway| gateway.identity.parse().ok())
                .map_or_else(String::new, |identity| Fingerprint::of(identity).to_string()),
        ),
    ]
}

fn next(state: State) -> &'static str {
    match state {
        State::NeedsJoin => "This device is in no network: sudo maru join - takes the invitation",
        State::Joining => {
            "The coordinator has not answered yet, or the interface is not set up yet."
        }
        State::WaitingForApproval => {
            "On the home machine: maru device list, then maru device approve CODE"
        }
        State::Expired => "The key's life is over: ask for an invitation, then sudo maru join -",
        State::Running => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_evidence_is_shown_and_nothing_where_there_is_none() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "state": "running", "version": "0", "interface": "maru0",
        }))
        .unwrap();
        let shown = |simulated| Shown { status: &status, simulated };
        let with = shown(vec!["lab".to_owned()]);
        assert!(with.rows().contains(&(
            "confidential",
            "lab proves nothing: SIMULATED evidence is taken of it".to_owned()
        )));
        assert_eq!(serde_json::to_value(&with).unwrap()["simulated"], serde_json::json!(["lab"]));
        let without = shown(Vec::new());
        assert!(without.rows().iter().all(|(name, _)| *name != "confidential"));
        assert!(serde_json::to_value(&without).unwrap().get("simulated").is_none());
    }
}
