//! Checks of the servers behind the models, those of others: our own engines are services.

use std::path::Path;

use ai_gateway_api::{
    endpoints::LIST_PROVIDERS,
    providers::{Condition, ProviderNode},
};
use services::{INFERENCE, INFERENCE_2};

use super::finding::Finding;
use crate::{client::Client, confidential};

const ID: &str = "providers";

/// What the gateway finds when it asks each of them now; only root may ask the gateway that.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = simulated(&confidential::simulated(root));
    let asked = async { Client::gateway(root).call(&LIST_PROVIDERS, &[], &()).await };
    match asked.await {
        Ok(nodes) => findings.extend(judge(&nodes)),
        Err(error) => {
            let fix = "see what is said of the gateway";
            findings.push(Finding::error(ID, format!("cannot be asked: {error:#}"), fix));
        }
    }
    findings
}

/// A deployment of the confidential chain whose evidence may prove nothing.
fn simulated(deployments: &[String]) -> Vec<Finding> {
    let warn = |name: &String| {
        let text = format!(
            "SIMULATED evidence is taken of {name}: it proves nothing; take it that its operator reads all"
        );
        let fix = format!(
            "once its nodes show other evidence take simulated out of [confidential.{name}] in gateway.toml"
        );
        Finding::warning(ID, text, fix)
    };
    deployments.iter().map(warn).collect()
}

/// One finding for each server. One that fails is an error where its provider has no other.
fn judge(nodes: &[ProviderNode]) -> Vec<Finding> {
    let own = [INFERENCE, INFERENCE_2];
    let own = own.map(|link| format!("unix:///{}", link.socket));
    let others = nodes.iter().filter(|node| !own.contains(&node.node));
    others.map(|node| finding(node, stands_in(node, nodes))).collect()
}

/// Whether another server of the same provider answers.
fn stands_in(node: &ProviderNode, nodes: &[ProviderNode]) -> bool {
    let mut others = nodes.iter().filter(|it| it.provider == node.provider && it.node != node.node);
    others.any(|it| it.condition == Condition::Ready)
}

fn finding(node: &ProviderNode, stands_in: bool) -> Finding {
    let ProviderNode { provider, node: url, condition, trouble } = node;
    let name = format!("{provider} ({url})");
    let trouble = trouble.as_deref().unwrap_or("it does not say why");
    let (text, fix) = match condition {
        Condition::Ready => return Finding::ok(ID, format!("{name} is ready")),
        Condition::Draining => {
            return Finding::ok(ID, format!("{name} takes no new requests: it is full or drains"));
        }
        Condition::Loading => {
            let text = format!("{name} still loads its model");
            return Finding::warning(ID, text, "wait a moment");
        }
        Condition::Refusing => (
            format!("{name} refuses the gateway: {trouble}"),
            "compare apiKey in openclaw.json with what the server expects",
        ),
        Condition::Silent => {
            (format!("{name} does not answer: {trouble}"), "start it, or correct its baseUrl")
        }
        Condition::Unusable => (
            format!("{name} is not asked: {trouble}"),
            "put the file there, readable for the gateway; it is taken up by itself",
        ),
    };
    match stands_in {
        true => Finding::warning(ID, text, fix),
        false => Finding::error(ID, text, fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    fn node(provider: &str, node: &str, condition: Condition) -> ProviderNode {
        let trouble = Some("/k cannot be used: it is missing".to_owned());
        ProviderNode { provider: provider.to_owned(), node: node.to_owned(), condition, trouble }
    }

    #[test]
    fn a_server_that_fails_is_worse_where_no_other_stands_in() {
        let found = judge(&[
            node("gpu", "unix:///a.sock", Condition::Ready),
            node("gpu", "unix:///b.sock", Condition::Silent),
            node("cloud", "https://c", Condition::Unusable),
            node("busy", "unix:///d.sock", Condition::Draining),
        ]);
        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(
            severities,
            [Severity::Ok, Severity::Warning, Severity::Error, Severity::Ok],
            "{found:?}"
        );
        assert!(found[2].text.contains("/k cannot be used: it is missing"), "{found:?}");
        assert!(found.iter().all(|it| it.fix.is_empty() == (it.severity == Severity::Ok)));
    }

    #[test]
    fn simulated_evidence_is_a_warning() {
        let [found] = &simulated(&["lab".to_owned()])[..] else { panic!("one for each") };
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.text.contains("SIMULATED") && found.fix.contains("[confidential.lab]"));
        assert!(simulated(&[]).is_empty());
    }

    #[test]
    fn our_own_engines_are_left_to_the_services() {
        let own = "unix:///run/maru/inference-2/llm.sock";
        assert!(judge(&[node("spare", own, Condition::Silent)]).is_empty());
    }
}
