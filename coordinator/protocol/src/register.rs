//! `POST /machine/register`: how a node becomes, and stays, registered.
//!
//! The machine key is not in the request: it is the one that the Noise handshake proved.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    json,
    key::NodePublic,
    map::{Hostinfo, UserId},
};

/// Path of the request.
pub const PATH: &str = "/machine/register";

/// Largest request that a coordinator should read, in bytes: anyone may send one.
pub const MAX_REQUEST_LEN: usize = 64 * 1024;

/// Largest response, in bytes (the Go client's limit).
pub const MAX_LEN: usize = 1024 * 1024;

/// Asks to register a node key, to renew it, to follow up on an approval, or to log out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisterRequest {
    /// The client's capability version.
    #[serde(default)]
    pub version: u32,
    /// The key to register. The zero key never is one.
    pub node_key: NodePublic,
    /// The key that `node_key` replaces, for a renewal.
    #[serde(default, deserialize_with = "json::node_key", skip_serializing_if = "Option::is_none")]
    pub old_node_key: Option<NodePublic>,
    /// What entitles the node to join without waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// When the node wants the key to end (RFC 3339). A time in the past logs out: check it before `auth`.
    #[serde(default, deserialize_with = "json::time", skip_serializing_if = "Option::is_none")]
    pub expiry: Option<String>,
    /// The `AuthURL` of an earlier response: the answer is held until that page is done. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub followup: String,
    /// What the node says of itself.
    #[serde(default, alias = "HostInfo", skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// Whether the node is forgotten soon after it disconnects.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub ephemeral: bool,
    /// The network the node wants; `required:` before it means no other. Empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tailnet: String,
}

/// What entitles a node to join.
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
    /// Returns the pre-auth key, if one was sent.
    #[must_use]
    pub fn auth_key(&self) -> Option<&str> {
        self.auth.as_ref().map(|auth| auth.auth_key.as_str()).filter(|key| !key.is_empty())
    }
}

/// Answers a [`RegisterRequest`]. Every field is written: the Rust client wants them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegisterResponse {
    /// Whose node it is.
    pub user: User,
    /// How that user logs in.
    pub login: Login,
    /// Whether the node must make another key and register again.
    pub node_key_expired: bool,
    /// Whether the node is approved.
    pub machine_authorized: bool,
    /// Where a person may approve the node; send it back as `followup`. Empty: nothing to wait for.
    #[serde(rename = "AuthURL")]
    pub auth_url: String,
    /// Why the node was turned away; the other fields then say nothing. Empty: it was not.
    pub error: String,
}

/// A user, as the response to a registration names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct User {
    /// Number of the user.
    #[serde(rename = "ID")]
    pub id: UserId,
    /// Name for people.
    pub display_name: String,
}

/// A way in which a user logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Login {
    /// Number of the login.
    #[serde(rename = "ID")]
    pub id: i64,
    /// Who vouches for it.
    pub provider: String,
    /// What the user types: an e-mail address, or something that looks like one.
    pub login_name: String,
    /// Name for people.
    pub display_name: String,
}

#[cfg(test)]
mod tests;
