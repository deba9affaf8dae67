//! What the admin decided about the routes of one node.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What the admin decided about a node's routes; about all others the policy decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Approved, offered now or not.
    pub approved: Vec<IpNet>,
    /// Rejected, although the policy may approve them.
    pub rejected: Vec<IpNet>,
}
