//! Whether the router forwards the ports that devices elsewhere need.

use std::path::Path;

use messages::message;
use node_agent_api::{
    PortProblem, Router, TcpAddress,
    endpoints::{NETCHECK, STATUS},
};

use crate::{
    client::Client,
    finding::Finding,
    netcheck::{forwarded, reached},
};

const ID: &str = "router";

/// Asks the agent, if it runs. At home every port is needed; another device gets by without one, unless the router lies.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let agent = Client::agent(root);
    if agent.call(&STATUS, &[], &()).await.is_err() {
        return Vec::new();
    }
    let Ok(found) = agent.call(&NETCHECK, &[], &()).await else { return Vec::new() };
    let mut findings = found.router.as_ref().map(judge).unwrap_or_default();
    findings.extend(found.tcp.iter().map(of_tcp));
    findings
}

/// What a member elsewhere found of coordinator or relay.
fn of_tcp(tcp: &TcpAddress) -> Finding {
    match tcp.reached {
        true => Finding::ok(ID, reached(tcp)),
        false => Finding::warning(ID, reached(tcp), message!("fix-router-tcp")),
    }
}

fn judge(router: &Router) -> Vec<Finding> {
    let is_home = router.ports.len() > 1;
    let judged = router.ports.iter().filter_map(|port| {
        let text = forwarded(router, port);
        match port.problem {
            None => Some(Finding::ok(ID, text)),
            Some(PortProblem::OtherAddress | PortProblem::NotReached) => {
                Some(Finding::warning(ID, text, message!("fix-router-address")))
            }
            Some(_) if is_home => Some(Finding::warning(ID, text, message!("fix-router"))),
            Some(_) => None,
        }
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn a_port_that_is_not_forwarded_is_a_problem_at_home_alone() {
        let port = |service, problem| {
            serde_json::json!({ "service": service, "transport": "udp", "port": 41641, "via": null, "outside": null,
                "until": null, "problem": problem })
        };
        let severities = |ports: Vec<serde_json::Value>| {
            let router = serde_json::json!({ "gateway": "192.168.1.1", "ports": ports });
            let found = judge(&serde_json::from_value(router).unwrap());
            found.into_iter().map(|finding| finding.severity).collect::<Vec<_>>()
        };
        let silent = || port("agent", Some("no_protocol"));
        assert_eq!(severities(vec![silent()]), []);
        let home = vec![silent(), port("coordinator", None)];
        assert_eq!(severities(home), [Severity::Warning, Severity::Ok]);
        assert_eq!(severities(vec![port("agent", Some("other_address"))]), [Severity::Warning]);
        let tcp =
            |reached| of_tcp(&TcpAddress { address: "203.0.113.9:8443".parse().unwrap(), reached });
        assert_eq!((tcp(true).severity, tcp(false).severity), (Severity::Ok, Severity::Warning));
        assert!(tcp(false).text.to_string().contains("203.0.113.9:8443"));
    }
}
