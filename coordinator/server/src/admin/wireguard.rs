//! `/wireguard`: devices that have only WireGuard.

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use common::mesh;
use control_protocol::{
    key::NodePublic,
    map::{Hostinfo, WireguardRouter},
};
use coordinator_api::{
    Actor, AddWireguardDevice, KEEPALIVE_S, RotateWireguardDevice, WIREGUARD_OS, WireguardDevice,
    WireguardKey, WireguardProblem, endpoints, invitation::ServerUrl,
};
use coordinator_core::{
    model::{NewNode, Node, NodeId, Owner, Registrant},
    name,
    route::EXIT,
    time::to_rfc3339,
    wireguard::{self, RouterError, Tunnel},
};
use messages::{Message, message};

use super::{
    devices::{self, device_named},
    error::Error,
    keys,
    read::read,
};
use crate::{app::App, clock, hub::Snapshot, store::Change};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 4] {
    [
        serve(&endpoints::LIST_WIREGUARD, list),
        serve(&endpoints::ADD_WIREGUARD, add),
        serve(&endpoints::SHOW_WIREGUARD, show),
        serve(&endpoints::ROTATE_WIREGUARD, rotate),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<WireguardDevice>> {
    let snapshot = app.hub.snapshot();
    let nodes = snapshot.loaded.nodes.iter();
    Json(nodes.filter_map(|node| shown(&app, node, &snapshot)).collect())
}

async fn show(
    State(app): State<App>,
    Path(device): Path<String>,
) -> Result<Json<WireguardDevice>, Error> {
    let id = devices::find(&app.hub.snapshot(), &device).ok_or(NOT_FOUND)?;
    answer(&app, id)
}

async fn add(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<(StatusCode, Json<WireguardDevice>), Error> {
    let wanted: AddWireguardDevice = read(request).await?;
    check_endpoint(wanted.endpoint.as_deref())?;
    let now = clock::now();
    let mut change = app.store.change(actor).await?;
    let owner = owner(&mut change, &wanted).await?;
    let taken = change.names().await?;
    name::check(&wanted.name, &owner, |name| taken.contains(name))?;
    check_key(&app, &mut change, &wanted.public_key.0).await?;
    let snapshot = app.hub.snapshot();
    let (router, offer) = choose_router(&snapshot, wanted.via.as_deref())?;
    let tunnel = Tunnel {
        router: router.id,
        router_key: offer.key,
        endpoint: wanted.endpoint,
        full_tunnel: wanted.full_tunnel,
        keepalive: wanted.keepalive,
    };
    let hostname = wanted.name.clone();
    let hostinfo = Hostinfo { hostname, os: WIREGUARD_OS.to_owned(), ..Hostinfo::default() };
    let device = Registrant { node_key: wanted.public_key.0, hostinfo, ..Registrant::default() };
    let new = NewNode {
        id: None,
        owner,
        device,
        expires: wanted.expires_in_s.map(|life_s| keys::end_of_life(now, life_s)),
        name: Some(wanted.name),
        wireguard: Some(tunnel),
    };
    let node = change.insert_node(new, now).await?;
    let whose = wanted.user.map(|user| format!("of {user}, ")).unwrap_or_default();
    let full = if wanted.full_tunnel { ", full tunnel" } else { "" };
    let until = node.times.expires.map_or("forever".to_owned(), to_rfc3339);
    let details = format!("{whose}via {}{full}, until {until}", router.name);
    change.note("wireguard.add", device_named(&node), &details);
    app.commit(change).await?;
    tracing::info!(node = node.id, router = router.id, "WireGuard device added");
    Ok((StatusCode::CREATED, answer(&app, node.id)?))
}

async fn rotate(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<WireguardDevice>, Error> {
    let wanted: RotateWireguardDevice = read(request).await?;
    check_endpoint(wanted.endpoint.as_deref())?;
    let now = clock::now();
    let (mut change, mut node) = devices::open(&app, actor, &device).await?;
    let former = node.wireguard.take().ok_or(NOT_FOUND)?;
    if node.is_expired(now) {
        let device = node.name;
        return Err(Error::State(message!("problem-wireguard-expired", device)));
    }
    check_key(&app, &mut change, &wanted.public_key.0).await?;
    let snapshot = app.hub.snapshot();
    // Of a router that was removed home takes over.
    let same = snapshot.node(former.router).map(|router| router.id.to_string());
    let (router, offer) = choose_router(&snapshot, wanted.via.as_deref().or(same.as_deref()))?;
    // Another router is elsewhere.
    let kept = former.endpoint.filter(|_| router.id == former.router);
    node.keys.node = wanted.public_key.0;
    node.wireguard = Some(Tunnel {
        router: router.id,
        router_key: offer.key,
        endpoint: wanted.endpoint.or(kept),
        ..former
    });
    change.note("wireguard.rotate", device_named(&node), &format!("via {}", router.name));
    devices::store(&app, change, &node).await?;
    tracing::info!(node = node.id, router = router.id, "key of a WireGuard device replaced");
    answer(&app, node.id)
}

/// No node with this name, or one that is no WireGuard device.
const NOT_FOUND: Error = Error::NotFound("wireguard-device");

/// The owner that the request names; else the only user.
async fn owner(change: &mut Change, wanted: &AddWireguardDevice) -> Result<Owner, Error> {
    if let Some(owner) = keys::owner(change, wanted.user.as_deref(), &wanted.tags).await? {
        return Ok(owner);
    }
    match change.users().await?.as_slice() {
        [only] => Ok(Owner::User(only.id)),
        _ => Err(Error::State(message!("problem-wireguard-owner"))),
    }
}

/// Checks that a key can be a device's, and that nobody else has it.
async fn check_key(app: &App, change: &mut Change, key: &NodePublic) -> Result<(), Error> {
    if !wireguard::is_key(key) {
        return Err(Error::State(message!("problem-wireguard-not-a-key")));
    }
    let snapshot = app.hub.snapshot();
    let mut routers = snapshot.loaded.nodes.iter().filter_map(|node| wireguard::offer(node));
    let is_known = change.node_by_key(key).await?.is_some()
        || change.pending_by_key(key).await?.is_some()
        || routers.any(|offer| offer.key == *key);
    if is_known { Err(Error::State(message!("problem-wireguard-key-known"))) } else { Ok(()) }
}

fn check_endpoint(endpoint: Option<&str>) -> Result<(), Error> {
    match endpoint {
        Some(endpoint) if !wireguard::is_endpoint(endpoint) => {
            Err(Error::State(message!("problem-wireguard-endpoint")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The router that the admin names; else home.
fn choose_router<'a>(
    snapshot: &'a Snapshot,
    via: Option<&str>,
) -> Result<(&'a Node, WireguardRouter), Error> {
    let named = match via {
        Some(via) => {
            let id = devices::find(snapshot, via).ok_or(Error::NotFound("device"))?;
            Some(snapshot.node(id).ok_or(Error::NotFound("device"))?)
        }
        None => None,
    };
    wireguard::choose_router(&snapshot.loaded.nodes, named, clock::now())
        .map_err(|error| Error::State(refusal(&error)))
}

/// What is wrong with a router, and what to do.
fn refusal(error: &RouterError) -> Message {
    match error {
        RouterError::NoHome => message!("problem-wireguard-no-router"),
        RouterError::SeveralHomes(names) => {
            message!("problem-wireguard-several-routers", names = names.join(", "))
        }
        RouterError::Untagged(name) => message!("problem-wireguard-untagged", name),
        RouterError::NotOffered(name) => message!("problem-wireguard-not-offered", name),
    }
}

fn answer(app: &App, id: NodeId) -> Result<Json<WireguardDevice>, Error> {
    let snapshot = app.hub.snapshot();
    let node = snapshot.node(id).ok_or(NOT_FOUND)?;
    shown(app, node, &snapshot).map(Json).ok_or(NOT_FOUND)
}

/// A node as WireGuard device; `None` if it is another.
fn shown(app: &App, node: &Node, snapshot: &Snapshot) -> Option<WireguardDevice> {
    let (tunnel, now) = (node.wireguard.as_ref()?, clock::now());
    let nodes = &snapshot.loaded.nodes;
    let router = snapshot.node(tunnel.router);
    let refused =
        tunnel.full_tunnel && !node.is_expired(now) && !snapshot.compiled.leads_out(node.id);
    let refused = refused.then_some(WireguardProblem::InternetRefused);
    let prefixes = match tunnel.full_tunnel {
        true => EXIT.map(|net| net.to_string()),
        false => [mesh::V4.to_string(), mesh::V6.to_string()],
    };
    let dns =
        router.into_iter().flat_map(|router| router.addresses.both().map(|ip| ip.to_string()));
    Some(WireguardDevice {
        device: devices::shown(node, snapshot, now),
        public_key: WireguardKey(node.keys.node),
        router: router.map(|router| router.name.clone()),
        router_key: WireguardKey(tunnel.router_key),
        endpoint: tunnel.endpoint.clone().or_else(|| usual_endpoint(app, router?)),
        allowed_ips: prefixes.to_vec(),
        dns: dns.chain([app.config.settings.network.clone()]).collect(),
        full_tunnel: tunnel.full_tunnel,
        keepalive_s: tunnel.keepalive.then_some(KEEPALIVE_S),
        problem: wireguard::problem(node, nodes, now).or(refused),
    })
}

/// The coordinator's host and the router's port.
fn usual_endpoint(app: &App, router: &Node) -> Option<String> {
    let server = ServerUrl::parse(&app.config.settings.server_url()).ok()?;
    let port = wireguard::offer(router)?.port;
    let host = server.host();
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}
