//! `maru audit`: every way on which what people say may leave the containers, and who can read it there.
//!
//! It reads the settings, not the running services: what is written there is what they may do.

use std::{net::SocketAddr, path::Path, process::ExitCode};

use ai_gateway_api::settings::gateway;
use chassis::settings;
use common::mesh;
use confidential_api::policy::EvidenceKind;
use node_agent_api::settings::Settings as Agent;
use serde::Serialize;

use crate::{
    confidential,
    output::{self, Format, OutputArgs},
};

/// A way out.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Way {
    /// The dial's name in `agent.toml`.
    dial: String,
    /// The one address that it leads to.
    to: SocketAddr,
    /// Where that is.
    place: Place,
    /// The deployment that it belongs to, if it is one's of a confidential chain.
    deployment: Option<String>,
    /// Whether evidence that proves nothing is taken of that deployment.
    simulated: bool,
    /// Whether nodes of it may prove themselves by a TPM, whose bus is no secret on their machine.
    tpm: bool,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    ThisMachine,
    Mesh,
    Outside,
}

/// Says what leaves, and what protects it.
pub(crate) fn run(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let agent: Agent = settings::load(None, &root.join(node_agent_api::settings::FILE), Ok)?;
    let gateway: gateway::Settings = settings::load(None, &root.join(gateway::FILE), Ok)?;
    let ways = ways(&agent, &gateway);
    output::list(args.output, &ways, &["DIAL", "LEADS TO", "WHERE", "WHO CAN READ IT"], |way| {
        vec![way.dial.clone(), way.to.to_string(), place(way).to_owned(), readers(way)]
    })?;
    if matches!(args.output, Format::Table) {
        say(&ways);
    }
    Ok(ExitCode::SUCCESS)
}

fn ways(agent: &Agent, gateway: &gateway::Settings) -> Vec<Way> {
    let ways = agent.dial.iter().map(|dial| {
        let of = |name: &&String| confidential::is_dial_of(&dial.name, name);
        let deployment = gateway.confidential.keys().find(of).cloned();
        let pinned = deployment.as_ref().and_then(|name| gateway.confidential.get(name));
        Way {
            dial: dial.name.clone(),
            to: dial.to,
            place: match dial.to.ip() {
                ip if ip.is_loopback() => Place::ThisMachine,
                ip if mesh::contains(ip) => Place::Mesh,
                _ => Place::Outside,
            },
            simulated: pinned.is_some_and(|it| it.simulated),
            tpm: pinned.is_some_and(|it| {
                it.anchors.iter().any(|pinned| pinned.anchor.kind == EvidenceKind::Tpm)
            }),
            deployment,
        }
    });
    ways.collect()
}

const fn place(way: &Way) -> &'static str {
    match way.place {
        Place::ThisMachine => "this machine",
        Place::Mesh => "the mesh",
        Place::Outside => "outside",
    }
}

fn readers(way: &Way) -> String {
    match &way.deployment {
        None => "the server there".to_owned(),
        Some(name) if way.simulated => {
            format!("nodes of {name}, by SIMULATED evidence: take it that their operator can")
        }
        Some(name) if way.tpm => {
            format!("nodes of {name} that proved what they run, and who reads the bus of their TPM")
        }
        Some(name) => format!("nodes of {name} that proved what they run"),
    }
}

fn say(ways: &[Way]) {
    if ways.is_empty() {
        output::note("no dial: what people say to the AI stays in the containers of this machine");
        return;
    }
    if ways.iter().any(|way| way.deployment.is_none()) {
        output::note("what a server reads it may pass on; Maru cannot tell");
    }
    if ways.iter().any(|way| way.deployment.is_some()) {
        output::note(
            "a relay learns this home's address, and its gateway what is asked of which node: where one operator runs \
             both, nothing hides from that operator who asks",
        );
    }
    if ways.iter().any(|way| way.tpm) {
        output::note(
            "what a node's TPM computes crosses its bus unencrypted: whoever can read that bus, at the machine, can open what \
             that node is asked",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = r#"
        [[dial]]
        name = "ollama"
        socket = "run/maru/dial/ollama/http.sock"
        uid = 61002
        to = "127.0.0.1:11434"

        [[dial]]
        name = "far-relay-1"
        socket = "run/maru/dial/far-relay-1/http.sock"
        uid = 61002
        to = "192.0.2.7:3100"
        outside = true
    "#;

    #[test]
    fn every_dial_is_named_with_who_reads_it() {
        let agent: Agent = toml::from_str(AGENT).unwrap();
        let identity = common::wire::Fixed([7; 32]);
        let pins = format!("[confidential.far]\nidentity = \"{identity}\"\nsimulated = true\n");
        let gateway: gateway::Settings = toml::from_str(&pins).unwrap();

        let found = ways(&agent, &gateway);

        assert_eq!(found.iter().map(place).collect::<Vec<_>>(), ["this machine", "outside"]);
        assert_eq!(readers(&found[0]), "the server there");
        assert!(readers(&found[1]).contains("SIMULATED"), "{found:?}");
        assert_eq!(found[1].deployment.as_deref(), Some("far"));
    }

    #[test]
    fn who_can_read_a_tpms_bus_is_named_where_nodes_may_have_one() {
        let agent: Agent = toml::from_str(AGENT).unwrap();
        let identity = common::wire::Fixed([7; 32]);
        let far = format!("[confidential.far]\nidentity = \"{identity}\"\n");
        let says = |anchor: &str| {
            let gateway: gateway::Settings = toml::from_str(&format!("{far}{anchor}")).unwrap();
            readers(&ways(&agent, &gateway)[1])
        };
        let anchor = |kind: &str, key: &str| {
            format!(
                "[[confidential.far.anchors]]\nname = \"a\"\nkind = \"{kind}\"\n{key} = \"AAAA\"\n"
            )
        };

        assert!(says(&anchor("tpm", "key")).contains("bus"));
        assert!(!says(&anchor("nitro", "certificate")).contains("bus"));
        assert!(!says("").contains("bus"));
    }
}
