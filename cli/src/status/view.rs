//! The status as it is printed.

use messages::message;
use node_agent_api::{Status, wireguard::WireguardStatus};
use serde::Serialize;
use telmeet_api::participant::Fingerprint as DeviceFingerprint;

use crate::{
    doctor::expiry,
    duration,
    fingerprint::Fingerprint,
    model::size::size,
    output::{self, Format},
    problem,
    rooms::RoomsState,
};

/// Prints the status of this device, and of its peers.
pub(super) fn print(format: Format, shown: &StatusWithEvidence<'_>) -> anyhow::Result<()> {
    let status = shown.status;
    output::one(format, shown, &message!("status-labels"), shown.values())?;
    if format == Format::Table && !status.peers.is_empty() {
        output::line("")?;
        output::list(format, &status.peers, &message!("peer-heads"), |peer| {
            vec![
                peer.name.clone(),
                peer.user.clone().unwrap_or_default(),
                peer.tags.join(" "),
                peer.addresses.first().map(ToString::to_string).unwrap_or_default(),
                peer.online.map(output::yes).unwrap_or_default(),
                peer.path.clone(),
                peer.last_handshake_s.map(ago).unwrap_or_default(),
                size(peer.rx_bytes),
                size(peer.tx_bytes),
            ]
        })?;
    }
    Ok(())
}

fn ago(seconds: u64) -> String {
    duration::shown(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// The agent's status, and a warning from this home's settings.
#[derive(Debug, Serialize)]
pub(super) struct StatusWithEvidence<'a> {
    #[serde(flatten)]
    pub(super) status: &'a Status,
    /// The messengers' server; `None` where this device does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rooms: Option<RoomsState>,
    /// How people recognise the AI's device in rooms; `None` where this user does not learn it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ai_device: Option<DeviceFingerprint>,
    /// Deployments whose SIMULATED evidence this home accepts; it proves nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) simulated: Vec<String>,
}

impl<'a> StatusWithEvidence<'a> {
    /// The agent's status alone.
    pub(super) fn bare(status: &'a Status) -> Self {
        Self { status, rooms: None, ai_device: None, simulated: Vec::new() }
    }

    fn values(&self) -> Vec<String> {
        let simulated = self.simulated.iter().map(|name| message!("status-simulated", name));
        let mut values = values(self.status);
        values.push(self.rooms.as_ref().map(ToString::to_string).unwrap_or_default());
        let device = self.ai_device.as_ref().map(|ai| {
            let DeviceFingerprint { user_id, device_id, .. } = ai;
            message!("status-ai-device", user_id, device_id, key = ai.grouped_key()).to_string()
        });
        values.push(device.unwrap_or_default());
        values.extend(simulated.map(|text| text.to_string()));
        values
    }
}

fn values(status: &Status) -> Vec<String> {
    let node = status.node.as_ref();
    let addresses = |addresses: &[std::net::IpAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let connected = |is: bool| match is {
        true => message!("connected"),
        false => message!("not-connected"),
    };
    let coordinator = status
        .coordinator
        .as_ref()
        .map(|coordinator| format!("{} ({})", coordinator.url, connected(coordinator.connected)));
    let relay = status.home_relay.as_ref();
    let gateway = status.gateway.as_ref();
    let fingerprint =
        gateway.and_then(|gateway| gateway.identity.parse().ok()).map(Fingerprint::of);
    let values = [
        Some(message!("status-state", state = output::word(&status.state)).to_string()),
        problem::of(status).or_else(|| expiry::own(status).map(|text| text.to_string())),
        status.network.clone(),
        node.map(|node| node.name.clone()),
        node.map(|node| addresses(&node.addresses)),
        node.and_then(|node| node.key_expiry.clone()),
        coordinator,
        relay.map(|relay| format!("{} ({})", relay.name, connected(relay.connected))),
        Some(relayed(status)),
        status.dns.clone(),
        gateway.map(|gateway| format!("{} {}", gateway.host, addresses(&gateway.addresses))),
        fingerprint.map(|fingerprint| fingerprint.to_string()),
        Some(certificates(status)),
        Some(routes(status)),
        status.wireguard.as_ref().map(wireguard),
    ];
    values.into_iter().map(Option::unwrap_or_default).collect()
}

/// The names of the peers whose packets go over the relay.
fn relayed(status: &Status) -> String {
    let relayed = status.peers.iter().filter(|peer| peer.relay_reason.is_some());
    relayed.map(|peer| peer.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The public certificates, and why there is none.
fn certificates(status: &Status) -> String {
    let said = status.certificates.iter().flat_map(|certificate| {
        let name = &certificate.name;
        let ends = certificate.ends.as_ref().map(|ends| message!("status-certificate", name, ends));
        let problem = problem::of_certificate(certificate);
        let problem = problem.map(|problem| message!("status-no-certificate", name, problem));
        ends.into_iter().chain(problem)
    });
    said.map(|text| text.to_string()).collect::<Vec<_>>().join("; ")
}

/// Which routes are used and offered, and whether anything may come in.
fn routes(status: &Status) -> String {
    let exit =
        status.exit_node.iter().map(|exit| match (exit.usable, exit.no_resolver, &exit.name) {
            (true, true, name) => message!("status-exit-node-no-resolver", name),
            (true, false, name) => message!("status-exit-node", name),
            (false, _, name) => message!("status-no-exit-node", name),
        });
    let accepted = status.accepted_routes.iter().map(|accepted| {
        let (route, node) = (&accepted.route, &accepted.node);
        message!("status-accepted-route", route, node)
    });
    let offered = status.offered_routes.iter().map(|offered| {
        let route = &offered.route;
        match (offered.approved, offered.forwarding_off) {
            (_, true) => message!("status-unforwarded-route", route),
            (true, false) => message!("status-offered-route", route),
            (false, false) => message!("status-unapproved-route", route),
        }
    });
    let shields = status.shields_up.then(|| message!("status-shields-up"));
    let said = exit.chain(accepted).chain(offered).chain(shields);
    said.map(|text| text.to_string()).collect::<Vec<_>>().join("; ")
}

/// How many WireGuard devices there are, who speaks with them, and what is wrong.
fn wireguard(status: &WireguardStatus) -> String {
    let kind = status.kind.as_ref().map_or_else(|| "none".to_owned(), output::word);
    let (count, port) = (status.devices.len(), status.port);
    let said = message!("status-wireguard", kind, count, port).to_string();
    [Some(said), problem::of_wireguard(status)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_certificates_are_shown_with_what_is_wrong() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "state": "running", "version": "0", "certificates": [
                { "name": "chat.home.example.org", "ends": "2027-01-01T00:00:00Z" },
                { "name": "rooms.home.example.org", "problem": "the authority said no" },
            ],
        }))
        .unwrap();
        let shown = "chat.home.example.org until 2027-01-01T00:00:00Z; rooms.home.example.org: the authority said no";
        assert_eq!(certificates(&status), shown);
    }

    #[test]
    fn routes_are_shown_with_what_is_not_usable() {
        let mut status: Status = serde_json::from_value(serde_json::json!({
            "state": "running", "version": "0", "exit_node": { "name": "cabin", "usable": false },
            "accepted_routes": [{ "route": "192.168.1.0/24", "node": "server" }],
            "offered_routes": [
                { "route": "10.1.0.0/16", "approved": false },
                { "route": "10.2.0.0/16", "approved": true, "forwarding_off": true },
            ],
        }))
        .unwrap();
        let shown = "exit node cabin cannot be used, nothing leaves this machine; 192.168.1.0/24 by server; \
                     offers 10.1.0.0/16, not approved; offers 10.2.0.0/16, but this machine does not forward packets";
        assert_eq!(routes(&status), shown);
        let exit = status.exit_node.as_mut().unwrap();
        (exit.usable, exit.no_resolver) = (true, true);
        assert!(routes(&status).contains("set exit_node_dns"), "{}", routes(&status));
    }

    #[test]
    fn wireguard_devices_are_counted_with_who_speaks_to_them_and_what_is_wrong() {
        let shown = |kind: Option<&str>, problem: Option<&str>| {
            let status: Status = serde_json::from_value(serde_json::json!({
                "state": "running", "version": "0", "wireguard": {
                    "kind": kind, "port": 51820, "key": "k", "problem": problem,
                    "devices": [{ "node": "n7", "name": "tv" }],
                },
            }))
            .unwrap();
            values(&status).pop().unwrap()
        };
        assert_eq!(shown(Some("kernel"), None), "1, by the kernel, UDP port 51820");
        assert_eq!(
            shown(Some("userspace"), Some("no IPv6")),
            "1, by the agent (the kernel has no WireGuard), UDP port 51820; no IPv6"
        );
        assert_eq!(shown(None, None), "1, nobody listens on UDP port 51820");
    }

    #[test]
    fn relayed_peers_are_named() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "state": "running", "version": "0", "peers": [
                { "name": "phone", "stable_id": "n2", "addresses": [], "path": "relay", "relay_reason": "no_answer" },
                { "name": "tv", "stable_id": "n3", "addresses": [], "path": "direct 192.0.2.1:41641" },
                { "name": "pad", "stable_id": "n4", "addresses": [], "path": "relay", "relay_reason": "no_udp_here" },
            ],
        }))
        .unwrap();
        assert_eq!(relayed(&status), "phone, pad");
        assert!(values(&status).contains(&"phone, pad".to_owned()));
    }

    #[test]
    fn simulated_evidence_is_shown_and_nothing_where_there_is_none() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "state": "running", "version": "0", "interface": "maru0",
        }))
        .unwrap();
        let shown = |simulated, ai_device| StatusWithEvidence {
            status: &status,
            rooms: None,
            ai_device,
            simulated,
        };
        let with = shown(vec!["lab".to_owned()], None);
        let text = "SIMULATED evidence of lab is accepted; it proves nothing";
        assert_eq!(with.values().last().map(String::as_str), Some(text));
        assert_eq!(with.values().len(), message!("status-labels").parts().len());
        assert_eq!(serde_json::to_value(&with).unwrap()["simulated"], serde_json::json!(["lab"]));
        let ai_device = Some(DeviceFingerprint {
            user_id: "@maru:maru.home.arpa".to_owned(),
            device_id: "DEVICE".to_owned(),
            device_key: "abcdefgh".to_owned(),
            master_key: "m".to_owned(),
        });
        let at_home = shown(Vec::new(), ai_device);
        let text = "@maru:maru.home.arpa, device DEVICE, key abcd efgh";
        assert_eq!(at_home.values().last().map(String::as_str), Some(text));
        let without = shown(Vec::new(), None);
        assert_eq!(without.values().len() + 1, with.values().len());
        assert!(serde_json::to_value(&without).unwrap().get("simulated").is_none());
    }
}
