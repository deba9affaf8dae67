//! Numbers of nodes and users, and what nodes may do.

use std::collections::BTreeMap;

use serde_json::Value;

/// Number of a node; positive, never used again.
pub type NodeId = i64;

/// Number of a user.
pub type UserId = i64;

/// What a node may do or is told, by name, each with values of the name's own meaning.
pub type CapMap = BTreeMap<String, Vec<Value>>;
