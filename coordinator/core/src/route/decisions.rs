//! The admin's decisions about the routes of a node.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The admin's decisions about a node's routes; the policy decides about others. Stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Approved, offered now or not.
    pub approved: Vec<IpNet>,
    /// Rejected, although the policy may approve them.
    pub rejected: Vec<IpNet>,
}
