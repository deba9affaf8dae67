//! Routes: subnets that devices lead to, and the ways out through exit nodes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A route that a device offers, or that was approved or rejected before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Number of the device.
    pub device: u64,
    /// Its name.
    pub name: String,
    /// The prefix; `0.0.0.0/0` and `::/0` are those of an exit node and stand and fall together.
    pub route: String,
    /// Where it stands.
    pub state: RouteState,
    /// Whether the device offers it now.
    pub offered: bool,
    /// Whether devices are sent this way now, if the policy lets them: of several routers of one subnet one is in use.
    pub in_use: bool,
    /// Why it cannot be used, if that is so.
    pub problem: Option<String>,
}

/// Where a route stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteState {
    /// Waits for the admin.
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

/// What stands for both prefixes of an exit node.
pub const EXIT: &str = "exit";
