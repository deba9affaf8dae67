//! The ways on which what people say may leave the containers: the agent's dials.

use std::net::SocketAddr;

use ai_gateway_api::settings::gateway;
use common::mesh;
use confidential_api::policy::EvidenceKind;
use node_agent_api::settings::Settings as Agent;
use serde::Serialize;

use crate::confidential;

/// A dial, by which conversations may leave the containers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Exit {
    /// The dial's name in `agent.toml`.
    pub(crate) dial: String,
    /// The one address that it leads to.
    pub(crate) to: SocketAddr,
    /// Where that is.
    #[serde(rename = "place")]
    pub(crate) location: Location,
    /// The deployment that it belongs to, if it is one's of a confidential chain.
    pub(crate) deployment: Option<String>,
    /// Whether evidence that proves nothing is taken of that deployment.
    pub(crate) simulated: bool,
    /// Whether nodes of it may prove themselves by a TPM, whose bus is no secret on their machine.
    pub(crate) tpm: bool,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Location {
    ThisMachine,
    Mesh,
    Outside,
}

/// Every dial.
pub(crate) fn exits(agent: &Agent, gateway: &gateway::Settings) -> Vec<Exit> {
    let exits = agent.dial.iter().map(|dial| {
        let of = |name: &&String| confidential::is_dial_of(&dial.name, name);
        let deployment = gateway.confidential.keys().find(of).cloned();
        let pinned = deployment.as_ref().and_then(|name| gateway.confidential.get(name));
        Exit {
            dial: dial.name.clone(),
            to: dial.to,
            location: match dial.to.ip() {
                ip if ip.is_loopback() => Location::ThisMachine,
                ip if mesh::contains(ip) => Location::Mesh,
                _ => Location::Outside,
            },
            simulated: pinned.is_some_and(|it| it.simulated),
            tpm: pinned.is_some_and(|it| {
                it.anchors.iter().any(|pinned| pinned.anchor.kind == EvidenceKind::Tpm)
            }),
            deployment,
        }
    });
    exits.collect()
}
