//! Routes: subnets behind devices, and exit nodes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A route that a device offers, or that was approved or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Number of the device.
    pub device: u64,
    /// Its name.
    pub name: String,
    /// The prefix; `0.0.0.0/0` and `::/0` are the routes of an exit node, which are decided together.
    pub route: String,
    /// Its state.
    pub state: RouteState,
    /// Whether the device offers it now.
    pub offered: bool,
    /// Whether it is in use: of several routers of a subnet one is.
    pub in_use: bool,
    /// Why it can never be used, if so.
    pub problem: Option<UnusableReason>,
}

/// Why a route can never be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnusableReason {
    /// It overlaps the network's own addresses.
    Mesh,
    /// It is a loopback, link-local or multicast range.
    Nowhere,
    /// An exit node offers `0.0.0.0/0` and `::/0` together, and this one offers one of them.
    HalfExit,
}

/// The state of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteState {
    /// Not decided.
    Waiting,
    /// The admin approved it.
    Approved,
    /// The policy approves it (`autoApprovers`).
    ApprovedByPolicy,
    /// The admin rejected it.
    Rejected,
    /// It can never be used.
    Unusable,
}

/// Approves or rejects routes of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideRoutes {
    /// Prefixes; `exit` stands for those of an exit node.
    pub routes: Vec<String>,
}

/// Stands for both prefixes of an exit node.
pub const EXIT: &str = "exit";
