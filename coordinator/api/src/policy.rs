//! The policy.

use serde::{Deserialize, Serialize};

/// The policy as text, comments included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `HuJSON`.
    pub policy: String,
}

/// A policy that would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChecked {
    /// Always true; a policy that would be refused is a problem with status 422.
    pub ok: bool,
}
