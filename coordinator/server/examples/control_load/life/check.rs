//! Compares what the coordinator acknowledged with what the nodes see and its admin API lists.

use std::time::{Duration, Instant};

use control_protocol::map::NodeId;
use coordinator_api::{Device, DeviceState};
use hyper::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::network::Network;
use crate::{Failure, agent::PATIENCE, coordinator::Target, network_map::MapNode};

/// Interval of comparisons of all maps.
const LOOK: Duration = Duration::from_millis(200);

/// A node as it was acknowledged: as its own map shows it, with the endpoint that it told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AcknowledgedNode {
    slot: usize,
    id: NodeId,
    node: MapNode,
}

/// All nodes as they were acknowledged. The error names one that has no map for its key.
pub(super) fn acknowledged(network: &Network) -> Result<Vec<AcknowledgedNode>, String> {
    let taken = network.slots.iter().enumerate().filter(|(_, slot)| slot.is_taken());
    let nodes = taken.map(|(slot, it)| {
        let (agent, key) = (&it.agent, it.agent.node_key());
        let own = agent.progress.map().own.clone().filter(|(_, node)| node.key == key);
        let (id, node) = own.ok_or_else(|| format!("agent {slot} has no map for its node key"))?;
        let node = MapNode { endpoints: vec![agent.endpoint()], ..node };
        Ok(AcknowledgedNode { slot, id, node })
    });
    nodes.collect()
}

/// Waits until every node sees all nodes that it should as they were acknowledged.
pub(super) async fn until_right(network: &Network) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match compare(network) {
            Err(difference) if begun.elapsed() > PATIENCE => return Err(difference.into()),
            Err(_) => sleep(LOOK).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Compares every node's map. The error is the first difference.
fn compare(network: &Network) -> Result<(), String> {
    let all = acknowledged(network)?;
    for watcher in &all {
        let name = &watcher.node.name;
        let map = network.slots[watcher.slot].agent.progress.map();
        let mut count = 0;
        for other in all.iter().filter(|other| network.sees(watcher.slot, other.slot)) {
            let (shown, expected) = (map.peers.get(&other.id), &other.node);
            if shown != Some(expected) {
                return Err(format!("{name} sees {shown:?}; acknowledged was {expected:?}"));
            }
            count += 1;
        }
        let peers = map.peers.len();
        if network.is_own && peers != count {
            return Err(format!("{name} sees {peers} nodes instead of {count}"));
        }
        if network.opened.is_some() && map.opened != network.opened {
            return Err(format!(
                "the filter of {name} opens ports up to {:?}, and that of the policy up to {:?}",
                map.opened, network.opened
            ));
        }
    }
    Ok(())
}

/// Compares what the admin API lists.
pub(super) async fn listed(network: &Network, target: &Target) -> Result<(), Failure> {
    let all = acknowledged(network)?;
    let devices = target.admin(Method::GET, "/devices", Value::Null).await?;
    let devices: Vec<Device> = serde_json::from_value(devices)?;
    for AcknowledgedNode { id, node, .. } in &all {
        let device = devices.iter().find(|device| NodeId::try_from(device.id) == Ok(*id));
        if !device.is_some_and(|device| is_same(device, node)) {
            return Err(format!("listed is {device:?}; acknowledged was {id}, {node:?}").into());
        }
    }
    if devices.len() != all.len() {
        let (listed, nodes) = (devices.len(), all.len());
        return Err(
            format!("{listed} devices are listed, and {nodes} have joined and not left").into()
        );
    }
    let Some(acknowledged) = &network.policy else { return Ok(()) };
    let policy = target.admin(Method::GET, "/policy", Value::Null).await?;
    if ["policy", "revision"].iter().any(|field| policy[*field] != acknowledged[*field]) {
        return Err(format!("the policy is {policy}; acknowledged was {acknowledged}").into());
    }
    Ok(())
}

/// Whether a device of the list is the node as it was acknowledged.
fn is_same(device: &Device, node: &MapNode) -> bool {
    let label = node.name.split('.').next();
    let addresses = node.addresses.iter().map(|net| net.addr().to_string());
    let endpoints = node.endpoints.iter().map(ToString::to_string);
    device.state == DeviceState::Approved
        && device.node_key == node.key.to_string()
        && Some(device.name.as_str()) == label
        && device.addresses.iter().cloned().eq(addresses)
        && device.endpoints.iter().cloned().eq(endpoints)
}
