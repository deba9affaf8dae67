//! API keys: what lets a program or a person administer over HTTPS.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Secret;

/// What every API key begins with.
pub const API_KEY_PREFIX: &str = "maru-api-";

/// Random bytes in an API key; each is two hex digits (0-9, a-f) after the prefix.
pub const API_KEY_RANDOM_LEN: usize = 32;

/// What a key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read alone: GET, and questions about the policy.
    #[default]
    Read,
    /// Everything, API keys among it.
    Admin,
}

/// Creates an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is called: 1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter.
    pub name: String,
    /// What it may do. Default: read.
    #[serde(default)]
    pub access: Access,
    /// Seconds until it can no longer be used. Default: 90 days; ten years at most.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

/// A new API key; the only time that it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedApiKey {
    /// Number of the key.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// The key itself.
    pub key: Secret,
    /// When it can no longer be used, RFC 3339.
    pub expires: String,
}

/// An API key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Number of the key.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// Whether its time is over.
    pub expired: bool,
    /// When it was created, RFC 3339.
    pub created: String,
    /// When it can no longer be used, RFC 3339.
    pub expires: String,
}
