//! Numbers of nodes and users, and capabilities.

use std::collections::BTreeMap;

use serde_json::Value;

/// Number of a node; positive, never reused.
pub type NodeId = i64;

/// Number of a user.
pub type UserId = i64;

/// Capabilities and attributes of a node by name, each with its values.
pub type CapMap = BTreeMap<String, Vec<Value>>;
