//! Devices that have only WireGuard, and whose router does not serve them.

use std::path::Path;

use coordinator_api::{WireguardDevice, endpoints::LIST_WIREGUARD};
use messages::message;

use crate::{client::Client, finding::Finding, wireguard};

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Severity;

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
