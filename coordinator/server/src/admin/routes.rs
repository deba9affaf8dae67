//! `/routes`: subnets and exit nodes, and the admin's decisions about them.

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Actor, DecideRoutes, EXIT, Route, RouteState, endpoints};
use coordinator_core::{
    model::{Node, NodeId},
    route::{self, RouteError, RouteStatus},
};
use ipnet::IpNet;

use super::{
    devices::{device_named, open, store},
    error::Error,
    read::read,
};
use crate::{app::App, hub::Snapshot};

/// Most routes of one request.
const ROUTES_MAX: usize = 256;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 3] {
    [
        serve(&endpoints::LIST_ROUTES, list),
        serve(&endpoints::APPROVE_ROUTES, approve),
        serve(&endpoints::REJECT_ROUTES, reject),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<Route>> {
    let snapshot = app.hub.snapshot();
    Json(snapshot.loaded.nodes.iter().flat_map(|node| of(node, &snapshot)).collect())
}

async fn approve(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Vec<Route>>, Error> {
    decide(&app, actor, &device, request, ("route.approve", route::approve)).await
}

async fn reject(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(device): Path<String>,
    request: Request,
) -> Result<Json<Vec<Route>>, Error> {
    decide(&app, actor, &device, request, ("route.reject", route::reject)).await
}

/// Applies a decision to a node.
type Decide = fn(&mut Node, &[IpNet]) -> Result<(), RouteError>;

/// Approves or rejects routes of a device, all or none; returns all its routes.
async fn decide(
    app: &App,
    actor: Actor,
    device: &str,
    request: Request,
    (action, decide): (&'static str, Decide),
) -> Result<Json<Vec<Route>>, Error> {
    let DecideRoutes { routes } = read(request).await?;
    let routes = prefixes(&routes)?;
    let (mut change, mut node) = open(app, actor, device).await?;
    decide(&mut node, &routes)?;
    let named: Vec<_> = routes.iter().map(ToString::to_string).collect();
    change.note(action, device_named(&node), &named.join(" "));
    store(app, change, &node).await?;
    tracing::info!(node = node.id, ?routes, "routes decided");
    let snapshot = app.hub.snapshot();
    let node = snapshot.node(node.id).ok_or(Error::NotFound("device"))?;
    Ok(Json(of(node, &snapshot)))
}

fn prefixes(texts: &[String]) -> Result<Vec<IpNet>, Error> {
    if texts.is_empty() || texts.len() > ROUTES_MAX {
        return Err(Error::Body(format!("name 1 to {ROUTES_MAX} routes")));
    }
    let mut routes = Vec::new();
    for text in texts {
        if text == EXIT {
            routes.extend(route::EXIT);
            continue;
        }
        let net: IpNet =
            text.parse().map_err(|_| Error::Body(format!("{text:?} is not a prefix")))?;
        if net != net.trunc() {
            return Err(Error::Body(format!("{text} has host bits set: use {}", net.trunc())));
        }
        routes.push(net);
    }
    Ok(routes)
}

/// The routes that a node offers, and those that were decided and that it no longer offers.
fn of(node: &Node, snapshot: &Snapshot) -> Vec<Route> {
    let by_policy = |route: &IpNet| snapshot.compiled.is_approved(node.id, route);
    let offered = route::statuses(node, by_policy);
    let shown = |(net, standing): (&IpNet, &RouteStatus)| {
        let in_use = standing.is_approved() && snapshot.compiled.is_in_use(node.id, net);
        entry(node, net, *standing, true, in_use)
    };
    let mut routes: Vec<Route> = offered.iter().map(shown).collect();
    let decided = [
        (&node.routes.approved, RouteStatus::ApprovedByAdmin),
        (&node.routes.rejected, RouteStatus::Rejected),
    ];
    for (nets, standing) in decided {
        let gone = nets.iter().filter(|net| !offered.contains_key(net));
        routes.extend(gone.map(|net| entry(node, net, standing, false, false)));
    }
    routes
}

fn entry(node: &Node, net: &IpNet, standing: RouteStatus, offered: bool, in_use: bool) -> Route {
    let (state, problem) = match standing {
        RouteStatus::Waiting => (RouteState::Waiting, None),
        RouteStatus::ApprovedByAdmin => (RouteState::Approved, None),
        RouteStatus::ApprovedByPolicy => (RouteState::ApprovedByPolicy, None),
        RouteStatus::Rejected => (RouteState::Rejected, None),
        RouteStatus::Unusable(reason) => (RouteState::Unusable, Some(reason)),
    };
    let device: NodeId = node.id;
    Route {
        device,
        name: node.name.clone(),
        route: net.to_string(),
        state,
        offered,
        in_use,
        problem,
    }
}
