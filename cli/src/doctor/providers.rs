//! Checks of the model servers; the embedded engines are checked as services.

use std::path::Path;

use ai_gateway_api::{
    endpoints::LIST_PROVIDERS,
    providers::{Condition, ProviderNode},
};
use messages::{Message, message};
use services::{INFERENCE, INFERENCE_2};

use crate::{client::Client, confidential, finding::Finding};

const ID: &str = "providers";

/// Asks the gateway to check each server now, which only root may do.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = simulated(&confidential::simulated(root));
    let asked = async { Client::gateway(root).call(&LIST_PROVIDERS, &[], &()).await };
    match asked.await {
        Ok(nodes) => findings.extend(judge(&nodes)),
        Err(error) => {
            let fix = message!("fix-gateway");
            findings.push(Finding::error(
                ID,
                message!("cannot-be-asked", error = format!("{error:#}")),
                fix,
            ));
        }
    }
    findings
}

/// Deployments of the confidential chain whose SIMULATED evidence is accepted.
fn simulated(deployments: &[String]) -> Vec<Finding> {
    let warn = |name: &String| {
        let text = message!("evidence-simulated", name);
        let fix = message!("fix-simulated", name);
        Finding::warning(ID, text, fix)
    };
    deployments.iter().map(warn).collect()
}

/// One finding for each server. One that fails is an error where its provider has no other.
fn judge(nodes: &[ProviderNode]) -> Vec<Finding> {
    let own = [INFERENCE, INFERENCE_2];
    let own = own.map(|link| format!("unix:///{}", link.socket));
    let others = nodes.iter().filter(|node| !own.contains(&node.node));
    others.map(|node| finding(node, has_replacement(node, nodes))).collect()
}

/// Whether another server of the same provider answers.
fn has_replacement(node: &ProviderNode, nodes: &[ProviderNode]) -> bool {
    let mut others = nodes.iter().filter(|it| it.provider == node.provider && it.node != node.node);
    others.any(|it| it.condition == Condition::Ready)
}

fn finding(node: &ProviderNode, has_replacement: bool) -> Finding {
    let ProviderNode { provider, node: url, condition, trouble } = node;
    let name = format!("{provider} ({url})");
    let trouble = trouble.clone().map_or_else(|| message!("provider-unexplained"), Message::from);
    let (text, fix) = match condition {
        Condition::Ready => return Finding::ok(ID, message!("provider-ready", name)),
        Condition::Draining => {
            return Finding::ok(ID, message!("provider-draining", name));
        }
        Condition::Loading => {
            let text = message!("provider-loading", name);
            return Finding::warning(ID, text, message!("fix-wait"));
        }
        Condition::Refusing => {
            (message!("provider-refuses", name, trouble), message!("fix-provider-key"))
        }
        Condition::Silent => (message!("provider-silent", name, trouble), message!("fix-provider")),
        Condition::Unusable => {
            (message!("provider-unusable", name, trouble), message!("fix-provider-file"))
        }
    };
    match has_replacement {
        true => Finding::warning(ID, text, fix),
        false => Finding::error(ID, text, fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

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
        assert!(
            found[2].text.to_string().contains("/k cannot be used: it is missing"),
            "{found:?}"
        );
        assert!(found.iter().all(|it| it.fix.is_none() == (it.severity == Severity::Ok)));
    }

    #[test]
    fn simulated_evidence_is_a_warning() {
        let [found] = &simulated(&["lab".to_owned()])[..] else { panic!("one for each") };
        assert_eq!(found.severity, Severity::Warning);
        assert!(
            found.text.to_string().contains("SIMULATED")
                && found.fix_text().contains("[confidential.lab]")
        );
        assert!(simulated(&[]).is_empty());
    }

    #[test]
    fn our_own_engines_are_left_to_the_services() {
        let own = "unix:///run/maru/inference-2/llm.sock";
        assert!(judge(&[node("spare", own, Condition::Silent)]).is_empty());
    }
}
