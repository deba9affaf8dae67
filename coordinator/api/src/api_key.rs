//! API keys, which authorize requests to the admin API over HTTPS.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Secret;

/// Prefix of every API key.
pub const API_KEY_PREFIX: &str = "maru-api-";

/// Random bytes in an API key; each is two hex digits (0-9, a-f) after the prefix.
pub const API_KEY_RANDOM_LEN: usize = 32;

/// The permissions of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read-only: GET, and queries about the policy.
    #[default]
    Read,
    /// Everything, including API keys.
    Admin,
}

/// Creates an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// Its name: 1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter.
    pub name: String,
    /// Its permissions. Default: read.
    #[serde(default)]
    pub access: Access,
    /// Seconds until it expires. Default: 90 days; ten years at most.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

/// A new API key, which is shown only here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedApiKey {
    /// Number of the key.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its permissions.
    pub access: Access,
    /// The key itself.
    pub key: Secret,
    /// When it expires, RFC 3339.
    pub expires: String,
}

/// An API key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Number of the key.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its permissions.
    pub access: Access,
    /// Whether it has expired.
    pub expired: bool,
    /// When it was created, RFC 3339.
    pub created: String,
    /// When it expires, RFC 3339.
    pub expires: String,
}
