//! Routes: subnets behind nodes, and exit nodes.
//!
//! ```text
//!   offered by the node ──▶ approved by the admin, or by the policy ──▶ in use: one router for each subnet
//!                     └───▶ rejected by the admin, whatever the policy says
//! ```
//!
//! A node is an exit node if both `0.0.0.0/0` and `::/0` are approved. Clients choose among exit nodes.

mod decisions;

use std::collections::{BTreeMap, BTreeSet};

pub use common::route::EXIT;
use common::{
    mesh,
    route::{NOWHERE, VIA, overlap},
};
use coordinator_api::UnusableReason;
use ipnet::IpNet;
use messages::{Message, message};

pub use self::decisions::Decisions;
use crate::model::{Node, NodeId};

/// Limit of routes of a node; further ones are ignored.
pub const OFFERED_MAX: usize = 64;

/// The status of a route that a node offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteStatus {
    /// Not decided.
    Waiting,
    /// The admin approved it.
    ApprovedByAdmin,
    /// The policy approves it.
    ApprovedByPolicy,
    /// The admin rejected it.
    Rejected,
    /// It can never be used.
    Unusable(UnusableReason),
}

impl RouteStatus {
    /// Whether the route may be used.
    #[must_use]
    pub fn is_approved(self) -> bool {
        matches!(self, Self::ApprovedByAdmin | Self::ApprovedByPolicy)
    }
}

/// Why a route cannot be approved or rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// The node does not offer it.
    NotOffered {
        /// The node's name.
        device: String,
        /// The route.
        route: IpNet,
        /// What it offers instead.
        offered: Vec<IpNet>,
    },
    /// It can never be used.
    Unusable {
        /// The route.
        route: IpNet,
        /// Why not.
        reason: UnusableReason,
    },
}

impl RouteError {
    /// What is wrong, for people.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::NotOffered { device, route, offered } => {
                let option = match EXIT.contains(route) {
                    true => "--advertise-exit-node".to_owned(),
                    false => format!("--advertise-routes={route}"),
                };
                if offered.is_empty() {
                    return message!("problem-route-none-offered", device, route, option);
                }
                let offered = offered.iter().map(ToString::to_string).collect::<Vec<_>>();
                let offered = offered.join(", ");
                message!("problem-route-not-offered", device, route, offered, option)
            }
            Self::Unusable { route, reason } => match reason {
                UnusableReason::Mesh => message!("problem-route-mesh", route),
                UnusableReason::Nowhere => message!("problem-route-nowhere", route),
                UnusableReason::HalfExit => message!("problem-route-half-exit", route),
            },
        }
    }
}

/// The routes that a node offers, sorted and without duplicates; [`OFFERED_MAX`] at most.
#[must_use]
pub fn offered(node: &Node) -> Vec<IpNet> {
    let all: BTreeSet<IpNet> = node.claims.hostinfo.routable_ips.iter().map(IpNet::trunc).collect();
    let (exits, subnets): (Vec<_>, Vec<_>) = all.into_iter().partition(|net| EXIT.contains(net));
    // The limit never cuts exit routes.
    exits.into_iter().chain(subnets).take(OFFERED_MAX).collect()
}

/// Whether a route could be used if it were approved; `offered` is all that its node offers.
fn usable(route: &IpNet, offered: &[IpNet]) -> Result<(), UnusableReason> {
    if EXIT.contains(route) {
        let is_whole = EXIT.iter().all(|exit| offered.contains(exit));
        return if is_whole { Ok(()) } else { Err(UnusableReason::HalfExit) };
    }
    let is_via = matches!(route, IpNet::V6(net) if VIA.contains(net));
    let mesh = [IpNet::V4(mesh::V4), IpNet::V6(mesh::V6)];
    if !is_via && mesh.iter().any(|mesh| overlap(mesh, route)) {
        Err(UnusableReason::Mesh)
    } else if NOWHERE.iter().any(|net| net.contains(route)) {
        Err(UnusableReason::Nowhere)
    } else {
        Ok(())
    }
}

/// The status of each route that a node offers. `by_policy` returns whether the policy approves one. If one route of an exit
/// node is not approved, both get its status.
pub fn statuses(node: &Node, by_policy: impl Fn(&IpNet) -> bool) -> BTreeMap<IpNet, RouteStatus> {
    let offered = offered(node);
    let decided = |route: &IpNet| match usable(route, &offered) {
        Err(reason) => RouteStatus::Unusable(reason),
        Ok(()) if node.routes.rejected.contains(route) => RouteStatus::Rejected,
        Ok(()) if node.routes.approved.contains(route) => RouteStatus::ApprovedByAdmin,
        Ok(()) if by_policy(route) => RouteStatus::ApprovedByPolicy,
        Ok(()) => RouteStatus::Waiting,
    };
    let mut all: BTreeMap<_, _> = offered.iter().map(|route| (*route, decided(route))).collect();
    let exits = EXIT.map(|exit| all.get(&exit).copied());
    if let Some(short) = exits.into_iter().flatten().find(|standing| !standing.is_approved()) {
        for (route, standing) in &mut all {
            if EXIT.contains(route) {
                *standing = short;
            }
        }
    }
    all
}

/// The routes of a node that may be used.
pub fn approved(node: &Node, by_policy: impl Fn(&IpNet) -> bool) -> Vec<IpNet> {
    let statuses = statuses(node, by_policy).into_iter();
    statuses.filter(|(_, standing)| standing.is_approved()).map(|(route, _)| route).collect()
}

/// Approves routes that a node offers; one exit route stands for both.
///
/// # Errors
///
/// [`RouteError`], and nothing is decided.
pub fn approve(node: &mut Node, routes: &[IpNet]) -> Result<(), RouteError> {
    let routes = whole(node, routes)?;
    let offered = offered(node);
    for route in &routes {
        usable(route, &offered).map_err(|reason| RouteError::Unusable { route: *route, reason })?;
    }
    node.routes.rejected.retain(|route| !routes.contains(route));
    add(&mut node.routes.approved, routes);
    Ok(())
}

/// Rejects routes that a node offers or that were approved; one exit route stands for both.
///
/// # Errors
///
/// [`RouteError::NotOffered`], and nothing is decided.
pub fn reject(node: &mut Node, routes: &[IpNet]) -> Result<(), RouteError> {
    let routes = whole(node, routes)?;
    node.routes.approved.retain(|route| !routes.contains(route));
    add(&mut node.routes.rejected, routes);
    Ok(())
}

/// Completes exit routes, and checks that each route is offered or approved.
fn whole(node: &Node, routes: &[IpNet]) -> Result<BTreeSet<IpNet>, RouteError> {
    let offered = offered(node);
    let mut whole = BTreeSet::new();
    for route in routes {
        if !offered.contains(route) && !node.routes.approved.contains(route) {
            let device = node.name.clone();
            return Err(RouteError::NotOffered { device, route: *route, offered });
        }
        whole.insert(*route);
        if EXIT.contains(route) {
            whole.extend(EXIT);
        }
    }
    Ok(whole)
}

fn add(list: &mut Vec<IpNet>, routes: BTreeSet<IpNet>) {
    list.extend(routes);
    list.sort_unstable();
    list.dedup();
}

/// The routers of each subnet, best first: connected ones first, then in their earlier order, so that a returning router does
/// not replace the one in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routers(BTreeMap<IpNet, Vec<NodeId>>);

impl Routers {
    /// Orders the routers of every subnet.
    #[must_use]
    pub fn elect<'a>(
        routes: impl IntoIterator<Item = (NodeId, &'a [IpNet])>,
        online: &BTreeSet<NodeId>,
        before: Option<&Self>,
    ) -> Self {
        let mut routers: BTreeMap<IpNet, Vec<NodeId>> = BTreeMap::new();
        for (node, nets) in routes {
            for net in nets.iter().filter(|net| !EXIT.contains(net)) {
                routers.entry(*net).or_default().push(node);
            }
        }
        for (net, nodes) in &mut routers {
            let before = before.map_or(&[][..], |before| before.of(net));
            let place = |node: &NodeId| before.iter().position(|known| known == node);
            nodes.sort_by_key(|node| {
                (!online.contains(node), place(node).unwrap_or(usize::MAX), *node)
            });
        }
        Self(routers)
    }

    /// The routers of a subnet, best first.
    #[must_use]
    pub fn of(&self, net: &IpNet) -> &[NodeId] {
        self.0.get(net).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
