//! The configuration of a WireGuard device, in the words of `wg-quick(8)`, which every WireGuard app reads.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use control_protocol::key::NodePrivate;
use coordinator_api::{Secret, WireguardDevice};
use serde::Serialize;

/// A device with its new configuration.
#[derive(Debug, Serialize)]
pub(super) struct NewConfiguration {
    #[serde(flatten)]
    pub(super) device: WireguardDevice,
    /// Its private key, if it was made here; it is stored nowhere.
    pub(super) private_key: Option<Secret>,
    /// The text for its WireGuard app.
    pub(super) configuration: Secret,
}

impl NewConfiguration {
    pub(super) fn of(device: WireguardDevice, private: Option<&NodePrivate>) -> Self {
        let private_key = private.map(|key| Secret::new(STANDARD.encode(key.as_bytes())));
        let configuration = Secret::new(text(&device, private_key.as_ref()));
        Self { device, private_key, configuration }
    }
}

/// Without a private key the device has it already.
fn text(device: &WireguardDevice, private: Option<&Secret>) -> String {
    let mut lines = vec!["[Interface]".to_owned()];
    if let Some(private) = private {
        lines.push(format!("PrivateKey = {}", private.reveal()));
    }
    lines.push(format!("Address = {}", device.device.addresses.join(", ")));
    lines.push(format!("DNS = {}", device.dns.join(", ")));
    lines.push(String::new());
    lines.push("[Peer]".to_owned());
    lines.push(format!("PublicKey = {}", device.router_key));
    lines.push(format!("AllowedIPs = {}", device.allowed_ips.join(", ")));
    if let Some(endpoint) = &device.endpoint {
        lines.push(format!("Endpoint = {endpoint}"));
    }
    if let Some(seconds) = device.keepalive_s {
        lines.push(format!("PersistentKeepalive = {seconds}"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use control_protocol::key::NodePublic;
    use coordinator_api::{Device, WireguardKey};

    use super::*;

    fn device() -> WireguardDevice {
        let addresses = ["100.64.0.3", "fd7a:115c:a1e0::6440:3"].map(str::to_owned).to_vec();
        let dns = ["100.64.0.1", "fd7a:115c:a1e0::6440:1", "maru.home.arpa"];
        WireguardDevice {
            device: Device { name: "phone".to_owned(), addresses, ..Device::default() },
            public_key: WireguardKey(NodePublic::from_bytes([1; 32])),
            router: Some("home".to_owned()),
            router_key: WireguardKey(NodePublic::from_bytes([2; 32])),
            endpoint: Some("home.example.org:51820".to_owned()),
            allowed_ips: ["100.64.0.0/10", "fd7a:115c:a1e0::/48"].map(str::to_owned).to_vec(),
            dns: dns.map(str::to_owned).to_vec(),
            full_tunnel: false,
            keepalive_s: Some(25),
            problem: None,
        }
    }

    #[test]
    fn a_configuration_is_what_wireguard_apps_read() {
        let private = NodePrivate::from_bytes([3; 32]);
        let made = NewConfiguration::of(device(), Some(&private));

        let text = made.configuration.reveal();
        assert_eq!(
            text,
            "[Interface]\n\
             PrivateKey = AAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA0M=\n\
             Address = 100.64.0.3, fd7a:115c:a1e0::6440:3\n\
             DNS = 100.64.0.1, fd7a:115c:a1e0::6440:1, maru.home.arpa\n\
             \n\
             [Peer]\n\
             PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\
             AllowedIPs = 100.64.0.0/10, fd7a:115c:a1e0::/48\n\
             Endpoint = home.example.org:51820\n\
             PersistentKeepalive = 25\n"
        );
        let drawing = crate::qr::draw(text, false).unwrap();
        assert_eq!(testkit::qr::read_drawing(&drawing), text);
        assert!(drawing.lines().all(|line| line.chars().count() <= 80), "it fits a terminal");
        assert!(!format!("{made:?}").contains("AAMDAw"), "a log would have it");
    }

    #[test]
    fn a_device_with_a_key_of_its_own_gets_none() {
        let made = NewConfiguration::of(device(), None);

        assert!(!made.configuration.reveal().contains("PrivateKey"));
        assert!(made.private_key.is_none());
    }
}
