//! `/devices`: nodes, and devices that wait for approval.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{
    Actor, Approve, Capabilities, Device, DeviceState, Extend, Rename, SetTags, endpoints,
};
use coordinator_core::{
    code,
    model::{NewNode, Node, NodeId, Owner, Pending},
    name::{self, NameError},
    registration::{self, Approval},
    time::{Millis, to_rfc3339},
};
use messages::message;

use super::{
    error::Error,
    keys,
    lookup::{self, LookupError},
    read::read,
};
use crate::{
    app::App,
    clock,
    hub::Snapshot,
    registry::{self, TagPolicy},
    store::{Change, DatabaseError, StoreError},
};

/// Limit of a node's capabilities, in bytes of JSON: they are sent to every peer.
const CAPABILITIES_MAX: usize = 8 * 1024;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 10] {
    [
        serve(&endpoints::LIST_DEVICES, list),
        serve(&endpoints::SHOW_DEVICE, show),
        serve(&endpoints::REMOVE_DEVICE, remove),
        serve(&endpoints::APPROVE_DEVICE, approve),
        serve(&endpoints::REJECT_DEVICE, reject),
        serve(&endpoints::EXPIRE_DEVICE, expire),
        serve(&endpoints::EXTEND_DEVICE, extend),
        serve(&endpoints::RENAME_DEVICE, rename),
        serve(&endpoints::TAG_DEVICE, set_tags),
        serve(&endpoints::SET_CAPABILITIES, set_capabilities),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<Device>> {
    let (now, snapshot) = (clock::now(), app.hub.snapshot());
    let waiting = snapshot.loaded.pending.iter().map(|pending| shown_pending(pending, &snapshot));
    let nodes = snapshot.loaded.nodes.iter().map(|node| shown(node, &snapshot, now));
    let mut devices: Vec<Device> = waiting.chain(nodes).collect();
    devices.sort_by_key(|device| device.id);
    Json(devices)
}

async fn show(State(app): State<App>, Path(device): Path<String>) -> Result<Json<Device>, Error> {
    let snapshot = app.hub.snapshot();
    if let Some(id) = find(&snapshot, &device) {
        return answer(&app, id);
    }
    match lookup::find(&snapshot, &device) {
        Ok(pending) => return Ok(Json(shown_pending(pending, &snapshot))),
        Err(LookupError::NotFound) => {}
        Err(LookupError::Ambiguous) => return Err(Error::Several),
    }
    match lookup::given_name(&snapshot, &device) {
        Ok(id) => answer(&app, id),
        Err(LookupError::NotFound) => Err(Error::NotFound("device")),
        Err(LookupError::Ambiguous) => Err(Error::Several),
    }
}

async fn approve(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Device>, Error> {
    let wanted: Approve = read(request).await?;
    let id = lookup::find(&app.hub.snapshot(), &device)?.id;
    let now = clock::now();
    let mut change = app.store.change(actor).await?;
    let pending = change.pending(id).await?.ok_or(Error::NotFound("waiting-device"))?;
    let said = keys::owner(&mut change, wanted.user.as_deref(), &wanted.tags).await?;
    let of_machine = change.nodes_of_machine(&pending.device.machine).await?;
    let tagging = TagPolicy::read(&mut change, &pending.device.hostinfo).await?;
    let approved = registration::approve(
        &pending,
        said,
        &of_machine,
        &tagging.asked(&pending.device.hostinfo),
    )?
    .ok_or(Error::State(message!("problem-state-no-owner")))?;
    if let Some(name) = &wanted.name {
        let taken = change.names().await?;
        let own = |name: &str| {
            of_machine.iter().any(|node| Some(node.id) == approved.replaces && node.name == name)
        };
        name::check(name, &approved.owner, |name| taken.contains(name) && !own(name))?;
    }
    let node = write_approval(&app, &mut change, &pending, approved, wanted.name, now).await?;
    let whose = wanted.user.map(|user| format!("of {user}")).unwrap_or(wanted.tags.join(" "));
    change.note("device.approve", waiting_named(&pending), &whose);
    app.commit(change).await?;
    tracing::info!(node, "device approved");
    answer(&app, node)
}

/// Turns the waiting device into a node, or gives the node that it was before its new key.
async fn write_approval(
    app: &App,
    change: &mut Change,
    pending: &Pending,
    approved: Approval,
    name: Option<String>,
    now: Millis,
) -> Result<NodeId, Error> {
    change.delete_pending(pending.id).await?;
    let expires = app.expiry(&approved.owner, now);
    let Some(id) = approved.replaces else {
        let (id, device) = (Some(pending.id), pending.device.clone());
        let new = NewNode { id, owner: approved.owner, device, expires, name, wireguard: None };
        return Ok(change.insert_node(new, now).await?.id);
    };
    let mut node = change.node(id).await?.ok_or(StoreError::Database(DatabaseError::Conflict))?;
    node.owner = approved.owner;
    node.keys.node = pending.device.node_key;
    node.times.expires = expires;
    node.claims.hostinfo = pending.device.hostinfo.clone();
    node.claims.version = pending.device.version;
    if let Some(name) = name {
        node.name = name;
    }
    change.update_node(&node).await?;
    Ok(id)
}

async fn reject(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
) -> Result<StatusCode, Error> {
    let id = lookup::find(&app.hub.snapshot(), &device)?.id;
    let mut change = app.store.change(actor).await?;
    let pending = change.pending(id).await?.ok_or(Error::NotFound("waiting-device"))?;
    change.delete_pending(id).await?;
    change.note("device.reject", waiting_named(&pending), "");
    app.commit(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn expire(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
) -> Result<Json<Device>, Error> {
    let (mut change, node) = open(&app, actor, &device).await?;
    registry::end_key(&mut change, node.id, clock::now()).await?;
    change.note("device.expire", device_named(&node), "");
    app.commit(change).await?;
    answer(&app, node.id)
}

/// Sets a new expiry of the node key. An expired key becomes valid again.
async fn extend(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Device>, Error> {
    let Extend { expires_in_s } = read(request).await?;
    let now = clock::now();
    let (mut change, mut node) = open(&app, actor, &device).await?;
    node.times.expires = match expires_in_s {
        Some(life_s) => Some(keys::end_of_life(now, life_s)),
        // A WireGuard device cannot register again, so it does not expire unless the admin says so.
        None if node.wireguard.is_some() => None,
        None => app.expiry(&node.owner, now),
    };
    let until = node.times.expires.map_or("forever".to_owned(), to_rfc3339);
    change.note("device.extend", device_named(&node), &format!("until {until}"));
    tracing::info!(node = node.id, "node key extended");
    write(&app, change, node).await
}

async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
) -> Result<StatusCode, Error> {
    let snapshot = app.hub.snapshot();
    let Some(id) = find(&snapshot, &device) else {
        // A waiting device is rejected.
        return reject(State(app), Extension(actor), Path(device)).await;
    };
    let mut change = app.store.change(actor).await?;
    let node = change.node(id).await?.ok_or(Error::NotFound("device"))?;
    change.delete_node(id).await?;
    change.note("device.remove", device_named(&node), "");
    app.commit(change).await?;
    tracing::info!(node = id, "node removed");
    Ok(StatusCode::NO_CONTENT)
}

async fn rename(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Device>, Error> {
    let Rename { name } = read(request).await?;
    let (mut change, mut node) = open(&app, actor, &device).await?;
    let taken = change.names().await?;
    name::check(&name, &node.owner, |name| taken.contains(name) && name != node.name)?;
    change.note("device.rename", device_named(&node), &format!("now {name}"));
    node.name = name;
    write(&app, change, node).await
}

async fn set_tags(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Device>, Error> {
    let SetTags { tags } = read(request).await?;
    if tags.is_empty() {
        return Err(NameError::Tag.into());
    }
    for tag in &tags {
        name::check_tag(tag)?;
    }
    let (mut change, mut node) = open(&app, actor, &device).await?;
    change.note("device.tags", device_named(&node), &tags.join(" "));
    node.owner = Owner::tags(tags);
    // Tagged nodes do not expire. A key that has expired stays expired: the device must register again.
    // Of a WireGuard device the admin chose the time.
    if node.wireguard.is_none() && !node.is_expired(clock::now()) {
        node.times.expires = None;
    }
    write(&app, change, node).await
}

async fn set_capabilities(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Device>, Error> {
    let capabilities: Capabilities = read(request).await?;
    if serde_json::to_vec(&capabilities).map_or(usize::MAX, |json| json.len()) > CAPABILITIES_MAX {
        return Err(Error::Body(format!("the capabilities exceed {CAPABILITIES_MAX} bytes")));
    }
    let (mut change, mut node) = open(&app, actor, &device).await?;
    let names: Vec<_> = capabilities.keys().map(String::as_str).collect();
    change.note("device.capabilities", device_named(&node), &names.join(" "));
    node.capabilities = capabilities;
    write(&app, change, node).await
}

/// How the audit log names a node.
pub(super) fn device_named(node: &Node) -> String {
    format!("{} ({})", node.name, node.id)
}

/// How the audit log names a waiting device.
fn waiting_named(pending: &Pending) -> String {
    format!("{} ({})", pending.device.hostinfo.hostname, pending.id)
}

/// Begins a change of the node with this number or name.
pub(super) async fn open(app: &App, actor: Actor, device: &str) -> Result<(Change, Node), Error> {
    let id = find(&app.hub.snapshot(), device).ok_or(Error::NotFound("device"))?;
    let mut change = app.store.change(actor).await?;
    let node = change.node(id).await?.ok_or(Error::NotFound("device"))?;
    Ok((change, node))
}

async fn write(app: &App, change: Change, node: Node) -> Result<Json<Device>, Error> {
    store(app, change, &node).await?;
    answer(app, node.id)
}

/// Commits a change of a node, and updates the maps.
pub(super) async fn store(app: &App, mut change: Change, node: &Node) -> Result<(), Error> {
    change.update_node(node).await?;
    Ok(app.commit(change).await?)
}

fn answer(app: &App, id: NodeId) -> Result<Json<Device>, Error> {
    let snapshot: Arc<Snapshot> = app.hub.snapshot();
    let node = snapshot.node(id).ok_or(Error::NotFound("device"))?;
    Ok(Json(shown(node, &snapshot, clock::now())))
}

/// Finds a node by number or name.
pub(super) fn find(snapshot: &Snapshot, device: &str) -> Option<NodeId> {
    let is_it = |node: &&Arc<Node>| device.parse() == Ok(node.id);
    let by_id = snapshot.loaded.nodes.iter().find(is_it);
    by_id
        .or_else(|| snapshot.loaded.nodes.iter().find(|node| node.name == device))
        .map(|node| node.id)
}

/// A node as a device.
pub(super) fn shown(node: &Node, snapshot: &Snapshot, now: Millis) -> Device {
    let online = snapshot.online.contains(&node.id);
    let hostinfo = &node.claims.hostinfo;
    Device {
        id: node.id,
        stable_id: node.stable_id.clone(),
        name: node.name.clone(),
        hostname: hostinfo.hostname.clone(),
        os: hostinfo.os.clone(),
        user: snapshot.user_of(&node.owner),
        tags: node.owner.tag_list().to_vec(),
        addresses: vec![node.addresses.v4.to_string(), node.addresses.v6.to_string()],
        state: if node.is_expired(now) { DeviceState::Expired } else { DeviceState::Approved },
        node_key: node.keys.node.to_string(),
        created: to_rfc3339(node.times.created),
        last_seen: node.times.last_seen.filter(|_| !online).map(to_rfc3339),
        online,
        endpoints: node.claims.endpoints.iter().map(ToString::to_string).collect(),
        key_expiry: node.times.expires.map(to_rfc3339),
        ephemeral: node.times.ephemeral,
        capabilities: node.capabilities.clone(),
        ..Device::default()
    }
}

fn shown_pending(pending: &Pending, snapshot: &Snapshot) -> Device {
    let owner = pending.key.as_ref().map(|(_, owner)| owner);
    let hostinfo = &pending.device.hostinfo;
    Device {
        id: pending.id,
        hostname: hostinfo.hostname.clone(),
        os: hostinfo.os.clone(),
        user: owner.and_then(|owner| snapshot.user_of(owner)),
        tags: owner.map(|owner| owner.tag_list().to_vec()).unwrap_or_default(),
        state: DeviceState::Pending,
        code: code::of(&pending.ticket),
        source: pending.source.clone(),
        requested_tags: hostinfo.request_tags.clone(),
        node_key: pending.device.node_key.to_string(),
        created: to_rfc3339(pending.created),
        ephemeral: pending.device.ephemeral,
        ..Device::default()
    }
}
