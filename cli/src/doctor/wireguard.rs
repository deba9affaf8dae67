//! Devices that have only WireGuard: whose router does not serve them, and what this machine as their router cannot do.

use std::path::Path;

use coordinator_api::{WireguardDevice, endpoints::LIST_WIREGUARD};
use messages::{Message, message};
use node_agent_api::{FORWARDING, Status, wireguard::WireguardStatus};

use crate::{client::Client, finding::Finding, problem, wireguard};

const ID: &str = "wireguard";

/// Asks the coordinator, which only root may do. One that does not answer is reported with its services.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let devices = Client::coordinator(root).call(&LIST_WIREGUARD, &[], &()).await;
    devices.map(|devices| judge(&devices)).unwrap_or_default()
}

fn judge(devices: &[WireguardDevice]) -> Vec<Finding> {
    let wrong = devices.iter().filter_map(|device| {
        let fix = format!("sudo maru wireguard show {}", device.device.id);
        Some(Finding::warning(ID, wireguard::problem(device)?, fix))
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() && !devices.is_empty() {
        return vec![Finding::ok(ID, message!("wireguard-served", count = devices.len()))];
    }
    wrong
}

/// What this machine, as the router of such devices, does not do for them, as its agent says.
pub(super) fn router(status: &Status) -> Option<Finding> {
    let router = status.wireguard.as_ref()?;
    Some(Finding::warning(ID, problem::of_wireguard(router)?, fix(router)))
}

fn fix(router: &WireguardStatus) -> Message {
    let [v4, v6] = FORWARDING;
    match router.problem_message.as_ref().map(|said| said.id.as_str()) {
        Some("problem-agent-wireguard-ipv4" | "problem-agent-wireguard-internet") => {
            format!("sudo sysctl -w {v4}=1").into()
        }
        Some("problem-agent-wireguard-firewall") => "sudo nft list ruleset".into(),
        Some("problem-agent-wireguard-ipv6") => format!("sudo sysctl -w {v6}=1").into(),
        Some("problem-agent-wireguard-port") => {
            format!("sudo ss -lunp sport = :{}", router.port).into()
        }
        Some(_) | None => message!("fix-see-status"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Severity;

    #[test]
    fn what_the_router_does_not_do_is_named_with_the_command() {
        let found = |id: Option<&str>| {
            let said = id.map(|id| json!({ "id": id, "arguments": { "port": "51821" } }));
            let wireguard = json!({ "port": 51821, "key": "k", "problem": id.map(|_| "what is wrong"), "problem_message": said });
            let status = json!({ "state": "running", "version": "0", "wireguard": wireguard });
            router(&serde_json::from_value(status).unwrap())
        };
        assert_eq!(found(None), None);
        for (what, fix) in [
            ("ipv4", "sudo sysctl -w net.ipv4.ip_forward=1"),
            ("internet", "sudo sysctl -w net.ipv4.ip_forward=1"),
            ("ipv6", "sudo sysctl -w net.ipv6.conf.all.forwarding=1"),
            ("firewall", "sudo nft list ruleset"),
            ("port", "sudo ss -lunp sport = :51821"),
            ("no-internet", "see `maru status`"),
        ] {
            let found = found(Some(&format!("problem-agent-wireguard-{what}"))).unwrap();
            assert_eq!((found.severity, found.fix_text()), (Severity::Warning, fix.to_owned()));
            assert_eq!(found.text.to_string(), "what is wrong", "{what}");
        }
    }

    #[test]
    fn a_device_whose_router_does_not_serve_it_is_named() {
        let device = |name: &str, problem: Option<&str>| -> WireguardDevice {
            let device = coordinator_api::Device { name: name.to_owned(), ..Default::default() };
            let key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
            let json = json!({ "device": device, "public_key": key, "router": "home", "router_key": key,
                "endpoint": null, "allowed_ips": [], "dns": [], "full_tunnel": false, "keepalive_s": null,
                "problem": problem });
            serde_json::from_value(json).unwrap()
        };
        assert_eq!(judge(&[]), []);
        assert_eq!(judge(&[device("tv", None)])[0].severity, Severity::Ok);
        for problem in
            ["router_gone", "router_untagged", "not_offered", "other_key", "internet_refused"]
        {
            let found = judge(&[device("tv", None), device("phone", Some(problem))]);
            assert_eq!(found.len(), 1, "{problem}");
            assert_eq!(found[0].severity, Severity::Warning, "{problem}");
            assert!(found[0].text.to_string().contains("phone"), "{:?}", found[0]);
        }
    }
}
