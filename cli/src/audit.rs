//! `maru audit`: every way on which what people say may leave the containers, and who can read it there; and who could read
//! what is stored.
//!
//! It reads the settings, which bound what the services may do. Of the running services it asks telmeet how many rooms are not
//! encrypted, and the gateway which apps have keys.

use std::{path::Path, process::ExitCode};

use ai_gateway_api::settings::gateway;
use chassis::settings;
use messages::{Language, message};
use node_agent_api::settings::Settings as Agent;
use serde::Serialize;
use telmeet_api::rooms::{TOTALS, Totals};

use crate::{
    client::Client,
    exits::{Exit, exits},
    finding::{self, Finding},
    gateway::check,
    output::{self, Format, OutputArgs},
};

mod stored;

use stored::Stored;

/// What `maru audit` found.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Audit {
    /// Every way out of the containers.
    dials: Vec<Exit>,
    /// Conversations with the AI that are stored here.
    conversations: Stored,
    /// What the gateway works with, as `maru doctor` says it.
    findings: Vec<Finding>,
}

/// Prints what leaves, and what protects it.
pub(crate) async fn run(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    // Findings quote errors, which are made in the current language; JSON and YAML are English.
    if args.output != Format::Table {
        Language::English.make_current();
    }
    let agent: Agent = settings::load(None, &root.join(node_agent_api::settings::FILE), Ok)?;
    let gateway: gateway::Settings = settings::load(None, &root.join(gateway::FILE), Ok)?;
    let (conversations, error) = stored::look(root);
    let findings = check(root).await;
    let audit = Audit { dials: exits(&agent, &gateway), conversations, findings };
    if args.output != Format::Table {
        output::structured(args.output, &audit)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::list(args.output, &audit.dials, &message!("audit-heads"), |exit| {
        vec![exit.dial.clone(), exit.to.to_string(), location(exit), readers(exit)]
    })?;
    explain(&audit.dials);
    stored::explain(conversations, error, root);
    rooms(root).await;
    finding::print(args.output, &audit.findings)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what of rooms is readable on this machine, without a network.
async fn rooms(root: &Path) {
    output::note(message!("audit-rooms"));
    match Client::telmeet(root).call(&TOTALS, &[], &()).await {
        Ok(Totals { rooms, encrypted, .. }) => {
            let plain = rooms.saturating_sub(encrypted);
            output::note(message!("audit-rooms-plain", rooms, plain));
        }
        Err(error) => output::note(message!("audit-rooms-unknown", error = format!("{error:#}"))),
    }
}

fn location(exit: &Exit) -> String {
    message!("audit-location", location = output::word(&exit.location)).to_string()
}

fn readers(exit: &Exit) -> String {
    let readers = match &exit.deployment {
        None => message!("audit-readers-server"),
        Some(name) if exit.simulated => message!("audit-readers-simulated", name),
        Some(name) if exit.tpm => message!("audit-readers-tpm", name),
        Some(name) => message!("audit-readers-proved", name),
    };
    readers.to_string()
}

fn explain(exits: &[Exit]) {
    if exits.is_empty() {
        output::note(message!("audit-no-dial"));
        return;
    }
    if exits.iter().any(|exit| exit.deployment.is_none()) {
        output::note(message!("audit-server"));
    }
    if exits.iter().any(|exit| exit.deployment.is_some()) {
        output::note(message!("audit-relay"));
    }
    if exits.iter().any(|exit| exit.tpm) {
        output::note(message!("audit-tpm"));
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

        let found = exits(&agent, &gateway);

        assert_eq!(found.iter().map(location).collect::<Vec<_>>(), ["this machine", "outside"]);
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
            readers(&exits(&agent, &gateway)[1])
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
