//! WireGuard devices as people see them, with what their router last heard of them.

use std::{collections::BTreeMap, path::Path};

use coordinator_api::WireguardDevice;
use messages::{Message, message};
use node_agent_api::{endpoints::STATUS, wireguard::WireguardPeer};
use serde::Serialize;

use crate::{
    client::Client,
    duration,
    output::{self, Format},
};

/// A device, and what its router heard of it.
#[derive(Debug, Serialize)]
pub(super) struct DeviceWithTraffic {
    #[serde(flatten)]
    device: WireguardDevice,
    /// `null` where the agent of this machine is not its router.
    traffic: Option<WireguardPeer>,
}

/// Asks the agent of this machine, if there is one.
pub(super) async fn with_traffic(
    devices: Vec<WireguardDevice>,
    root: &Path,
) -> Vec<DeviceWithTraffic> {
    let status = Client::agent(root).call(&STATUS, &[], &()).await.ok();
    let peers = status.and_then(|status| status.wireguard).map(|router| router.devices);
    let mut peers: BTreeMap<String, WireguardPeer> =
        peers.into_iter().flatten().map(|peer| (peer.node.clone(), peer)).collect();
    let with = |device: WireguardDevice| {
        let traffic = peers.remove(&device.device.stable_id);
        DeviceWithTraffic { device, traffic }
    };
    devices.into_iter().map(with).collect()
}

pub(super) fn list(format: Format, devices: Vec<DeviceWithTraffic>) -> anyhow::Result<()> {
    output::list(format, &devices, &message!("wireguard-heads"), |item| {
        let device = &item.device.device;
        let [handshake, endpoint, received, sent] = traffic(item);
        vec![
            device.id.to_string(),
            device.name.clone(),
            device.user.clone().unwrap_or_default(),
            device.tags.join(" "),
            device.addresses.first().cloned().unwrap_or_default(),
            state(item),
            item.device.router.clone().unwrap_or_default(),
            handshake,
            endpoint,
            received,
            sent,
        ]
    })?;
    if format == Format::Table {
        for item in &devices {
            if let Some(problem) = problem(&item.device) {
                output::note(problem);
            }
        }
    }
    Ok(())
}

/// Shows the only device.
pub(super) fn show(format: Format, devices: Vec<DeviceWithTraffic>) -> anyhow::Result<()> {
    for item in &devices {
        let DeviceWithTraffic { device: it, .. } = item;
        let device = &it.device;
        let [handshake, endpoint, received, sent] = traffic(item);
        let values = [
            device.id.to_string(),
            device.name.clone(),
            state(item),
            device.user.clone().unwrap_or_default(),
            device.tags.join(" "),
            device.addresses.join(" "),
            it.public_key.to_string(),
            it.router.clone().unwrap_or_default(),
            it.router_key.to_string(),
            it.endpoint.clone().unwrap_or_default(),
            it.allowed_ips.join(" "),
            it.dns.join(" "),
            output::yes(it.full_tunnel),
            it.keepalive_s.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
            device.created.clone(),
            device.key_expiry.clone().unwrap_or_else(|| message!("never").to_string()),
            handshake,
            endpoint,
            received,
            sent,
        ];
        output::one(format, item, &message!("wireguard-labels"), values)?;
        if let Some(problem) = problem(it).filter(|_| format == Format::Table) {
            output::note(problem);
        }
    }
    Ok(())
}

/// Last handshake, address, bytes received and sent.
fn traffic(item: &DeviceWithTraffic) -> [String; 4] {
    let Some(traffic) = &item.traffic else { return Default::default() };
    let ago = traffic
        .last_handshake_s
        .map(|seconds| duration::shown(i64::try_from(seconds).unwrap_or(i64::MAX)));
    [
        ago.map(|ago| message!("wireguard-ago", ago).to_string()).unwrap_or_default(),
        traffic.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        traffic.rx_bytes.to_string(),
        traffic.tx_bytes.to_string(),
    ]
}

fn state(item: &DeviceWithTraffic) -> String {
    let state = output::word(&item.device.device.state);
    message!("device-state", state).to_string()
}

/// What is wrong with a device's way, and what to do.
pub(crate) fn problem(device: &WireguardDevice) -> Option<Message> {
    let reason = output::word(device.problem.as_ref()?);
    let (name, router) = (&device.device.name, device.router.clone().unwrap_or_default());
    Some(message!("wireguard-problem", reason, name, router))
}
