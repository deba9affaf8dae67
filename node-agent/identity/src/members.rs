//! Who is in the network: a list that the coordinator writes into a file for services that keep things of people.
//!
//! A header says who is calling; that somebody is gone, no header says. The list is the coordinator's own, and not the map
//! of the home node: a map lacks nodes whose key has expired and those that the policy separates from the home, and is empty
//! until the agent has one. All of these come back with their keys.

use serde::{Deserialize, Serialize};

use crate::User;

/// The network's people and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The people.
    pub people: Vec<User>,
    /// The nodes, whether they are connected or not.
    pub nodes: Vec<MemberNode>,
}

/// A node of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberNode {
    /// Its stable id.
    pub node: String,
    /// The number of the person whose node it is; `None` for a tagged node.
    pub owner: Option<u64>,
}

impl Members {
    /// Version of the file.
    pub const VERSION: u32 = 1;
    /// Name of the file.
    pub const FILE: &str = "members.json";
}
