//! Servers of models that are outside of the promise: neither on this machine, nor in the mesh, nor proved.

use messages::message;
use serde_json::Value;

use super::near::is_near;
use crate::{
    exits::{Exit, Location},
    finding::Finding,
};

const ID: &str = "backends";
/// Where a provider of `openclaw.json` has its servers.
const LISTS: [&str; 2] = ["nodes", "relays"];

/// One finding for each way out that nothing protects. `openclaw` is the file's value, null if it is no JSON; `None` if there
/// is no file, so that the embedded engine answers.
pub(super) fn check(exits: &[Exit], openclaw: Option<&Value>, network: &str) -> Vec<Finding> {
    let mut findings: Vec<_> = exits.iter().filter_map(dial).collect();
    match openclaw {
        Some(Value::Null) => {
            findings.push(Finding::error(
                ID,
                message!("backends-unknown"),
                message!("fix-openclaw"),
            ));
        }
        Some(file) => findings.extend(providers(file, network)),
        None => {}
    }
    if findings.is_empty() {
        findings.push(Finding::ok(ID, message!("backends-near")));
    }
    findings
}

/// The gateway speaks HTTP to a dial, which passes it on as it is.
fn dial(exit: &Exit) -> Option<Finding> {
    let is_open = exit.location == Location::Outside && exit.deployment.is_none();
    is_open.then(|| {
        let text = message!("backend-dial", name = exit.dial, to = exit.to);
        Finding::warning(ID, text, message!("fix-backend-dial"))
    })
}

fn providers(file: &Value, network: &str) -> Vec<Finding> {
    let providers = file.pointer("/models/providers").and_then(Value::as_object);
    let mut findings = Vec::new();
    for (name, provider) in providers.into_iter().flatten() {
        let lists = LISTS.iter().filter_map(|list| provider[list].as_array()).flatten();
        let urls = std::iter::once(provider).chain(lists).filter_map(|it| it["baseUrl"].as_str());
        for url in urls.filter(|url| !url.starts_with("unix:") && !is_near(url, network)) {
            let text = match url.starts_with("https://") {
                true => message!("backend-far", name, url),
                false => message!("backend-plain", name, url),
            };
            findings.push(Finding::warning(ID, text, message!("fix-backend")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Severity;

    fn exit(to: &str, location: Location, deployment: Option<&str>) -> Exit {
        Exit {
            dial: "gpu".to_owned(),
            to: to.parse().unwrap(),
            location,
            deployment: deployment.map(ToOwned::to_owned),
            simulated: false,
            tpm: false,
        }
    }

    fn texts(findings: &[Finding]) -> Vec<(Severity, String)> {
        findings.iter().map(|it| (it.severity, it.text.to_string())).collect()
    }

    #[test]
    fn a_dial_that_leads_out_is_named_unless_a_deployment_proves_itself_there() {
        let near = [
            exit("127.0.0.1:11434", Location::ThisMachine, None),
            exit("100.64.0.7:8000", Location::Mesh, None),
            exit("192.0.2.7:3100", Location::Outside, Some("far")),
        ];
        let [ok] = &check(&near, None, "maru.home.arpa")[..] else { panic!("one") };
        assert_eq!(ok.severity, Severity::Ok);
        let far = [exit("192.0.2.8:8000", Location::Outside, None)];
        let found = texts(&check(&far, None, "maru.home.arpa"));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].0 == Severity::Warning && found[0].1.contains("192.0.2.8:8000"),
            "{found:?}"
        );
    }

    #[test]
    fn a_server_elsewhere_is_named_with_its_provider() {
        let file = json!({"models": {"providers": {
            "engine": {"baseUrl": "unix:///run/maru/inference/llm.sock"},
            "gpu": {"nodes": [{"baseUrl": "http://100.64.0.7:8000"}, {"baseUrl": "http://192.0.2.9"}]},
            "cloud": {"baseUrl": "https://api.example/v1", "relays": [{"baseUrl": "https://relay.example"}]},
        }}});
        let found = texts(&check(&[], Some(&file), "maru.home.arpa"));
        assert_eq!(found.len(), 3, "{found:?}");
        for part in ["https://api.example/v1", "https://relay.example", "http://192.0.2.9"] {
            assert!(found.iter().any(|(_, text)| text.contains(part)), "{part}: {found:?}");
        }
        let unreadable = texts(&check(&[], Some(&Value::Null), "maru.home.arpa"));
        assert_eq!(unreadable[0].0, Severity::Error);
    }
}
