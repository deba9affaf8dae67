//! `POST /machine/register`: registration of nodes.
//!
//! The machine key is not in the request: the Noise handshake proves it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    json,
    key::NodePublic,
    map::{Hostinfo, UserId},
};

/// Path of the request.
pub const PATH: &str = "/machine/register";

/// Largest request that a coordinator should read, in bytes.
pub const MAX_REQUEST_LEN: usize = 64 * 1024;

/// Largest response, in bytes (the Go client's limit).
pub const MAX_LEN: usize = 1024 * 1024;

/// Registers or renews a node key, waits for an approval, or logs out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisterRequest {
    /// The client's capability version.
    #[serde(default)]
    pub version: u32,
    /// The key to register; not the zero key.
    pub node_key: NodePublic,
    /// The key that `node_key` replaces.
    #[serde(default, deserialize_with = "json::node_key", skip_serializing_if = "Option::is_none")]
    pub old_node_key: Option<NodePublic>,
    /// Authorizes the node to join without approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The requested expiry (RFC 3339). A time in the past logs out: check it before `auth`.
    #[serde(default, deserialize_with = "json::time", skip_serializing_if = "Option::is_none")]
    pub expiry: Option<String>,
    /// The `AuthURL` of an earlier response, for whose completion to wait. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub followup: String,
    /// What the node reports about itself.
    #[serde(default, alias = "HostInfo", skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// Whether the node is removed soon after it disconnects.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub ephemeral: bool,
}

/// Authorizes a node to join.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Auth {
    /// A pre-auth key: a secret. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub auth_key: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.auth_key.is_empty() {
            "Auth(none)"
        } else {
            "Auth([redacted])"
        })
    }
}

impl RegisterRequest {
    /// The pre-auth key, if any.
    #[must_use]
    pub fn auth_key(&self) -> Option<&str> {
        self.auth.as_ref().map(|auth| auth.auth_key.as_str()).filter(|key| !key.is_empty())
    }
}

/// The response to a [`RegisterRequest`]. Every field is written: the Rust client requires them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegisterResponse {
    /// The owner of the node.
    pub user: User,
    /// The owner's login.
    pub login: Login,
    /// Whether the node must register again with a new key.
    pub node_key_expired: bool,
    /// Whether the node is approved.
    pub machine_authorized: bool,
    /// The page for approving the node; sent back as `followup`. Empty: none.
    #[serde(rename = "AuthURL")]
    pub auth_url: String,
    /// Why the node was refused; the other fields are unused then. Empty: it was not.
    pub error: String,
}

/// A user in the response to a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct User {
    /// Number of the user.
    #[serde(rename = "ID")]
    pub id: UserId,
    /// Name for people.
    pub display_name: String,
}

/// A login of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Login {
    /// Number of the login.
    #[serde(rename = "ID")]
    pub id: i64,
    /// The identity provider.
    pub provider: String,
    /// Login name: an e-mail address, or a text of that form.
    pub login_name: String,
    /// Name for people.
    pub display_name: String,
}

#[cfg(test)]
mod tests;
