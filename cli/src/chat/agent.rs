//! The gateway's address and identity, from the agent on this device.

use std::{net::IpAddr, path::Path};

use ai_gateway_api::sealed::Ed25519Public;
use anyhow::{Context as _, bail};
use messages::message;
use node_agent_api::{Coordinator, State, Status, endpoints::STATUS};

use super::pins::Membership;
use crate::{client::Client, problem};

/// The gateway to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The membership that it belongs to.
    pub(super) membership: Membership,
    /// The identity that the network names, to be compared with the pinned one.
    pub(super) identity: Ed25519Public,
    /// `chat.<network>`.
    pub(super) host: String,
    /// Its addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// This node's stable id, to which the device key is bound.
    pub(super) node: String,
}

/// Asks the agent.
pub(super) async fn target(root: &Path) -> anyhow::Result<Target> {
    from_status(Client::agent(root).call(&STATUS, &[], &()).await?)
}

fn from_status(status: Status) -> anyhow::Result<Target> {
    check_state(&status)?;
    let node = status.node.context(message!("node-unknown"))?;
    let Some(gateway) = status.gateway else {
        bail!(message!("no-gateway-reachable"));
    };
    if gateway.node == node.stable_id {
        bail!(message!("gateway-is-here"));
    }
    let identity = gateway.identity.parse().context(message!("gateway-identity-unreadable"))?;
    Ok(Target {
        membership: membership(status.network, status.coordinator)?,
        identity,
        host: gateway.host,
        addresses: gateway.addresses,
        node: node.stable_id,
    })
}

fn membership(
    network: Option<String>,
    coordinator: Option<Coordinator>,
) -> anyhow::Result<Membership> {
    let coordinator = coordinator.and_then(|coordinator| coordinator.noise_public_key);
    let (Some(network), Some(coordinator)) = (network, coordinator) else {
        bail!(message!("membership-unknown"))
    };
    Ok(Membership { network, coordinator })
}

/// Whether this device is an approved node.
///
/// # Errors
///
/// What to do if it is none.
pub(crate) fn check_state(status: &Status) -> anyhow::Result<()> {
    match status.state {
        State::Running => Ok(()),
        State::NeedsJoin => {
            let problem = problem::of(status).map(|text| format!(" ({text})"));
            bail!(message!("chat-needs-join", problem = problem.unwrap_or_default()))
        }
        State::Joining => {
            bail!(message!("chat-joining"))
        }
        State::WaitingForApproval => {
            let page = status.auth_url.as_deref().map(|url| format!(" ({url})"));
            bail!(message!("chat-waiting", page = page.unwrap_or_default()))
        }
        State::Expired => bail!(message!("chat-expired")),
        State::Paused => bail!(message!("next-paused")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(state: &str, gateway: Option<&str>) -> Status {
        let identity = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
        let gateway = gateway.map(|node| {
            json!({"node": node, "identity": identity, "host": "chat.maru.home.arpa",
                   "addresses": ["100.64.0.1"]})
        });
        let node =
            json!({"name": "laptop", "stable_id": "n2", "addresses": [], "node_key": "nodekey:00"});
        let coordinator =
            json!({"url": "http://home", "noise_public_key": "mkey:01", "connected": true});
        serde_json::from_value(json!({
            "version": "0", "state": state, "network": "maru.home.arpa", "node": node,
            "coordinator": coordinator, "gateway": gateway,
        }))
        .unwrap()
    }

    #[test]
    fn a_running_node_knows_whom_to_trust() {
        let target = from_status(status("running", Some("n1"))).unwrap();

        assert_eq!(target.identity.0, [1; 32]);
        assert_eq!(target.host, "chat.maru.home.arpa");
        assert_eq!(target.node, "n2");
        let Membership { network, coordinator } = target.membership;
        assert_eq!((network.as_str(), coordinator.as_str()), ("maru.home.arpa", "mkey:01"));
    }

    #[test]
    fn without_a_known_coordinator_nobody_is_trusted() {
        let (mut nameless, mut keyless) =
            (status("running", Some("n1")), status("running", Some("n1")));
        nameless.network = None;
        keyless.coordinator.as_mut().unwrap().noise_public_key = None;
        for status in [nameless, keyless] {
            let error = from_status(status).unwrap_err().to_string();

            assert!(error.contains("try again"), "{error}");
        }
    }

    #[test]
    fn every_other_state_says_what_to_do() {
        for (status, what) in [
            (status("needs_join", None), "sudo maru join"),
            (status("joining", None), "try again"),
            (status("waiting_for_approval", None), "maru device approve"),
            (status("expired", None), "sudo maru join"),
            (status("running", None), "maru policy get"),
            (status("running", Some("n2")), "from another device"),
        ] {
            let error = from_status(status).unwrap_err().to_string();

            assert!(error.contains(what), "{error}");
        }
    }
}
