//! How the servers behind the models are: what `maru doctor` asks the gateway, on the socket that is root's alone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A server behind a provider of `openclaw.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderNode {
    /// The provider's name.
    pub provider: String,
    /// The server's `baseUrl`, as the settings have it.
    pub node: String,
    /// How it is.
    pub condition: Condition,
    /// What is wrong, and what to do about it; none if nothing is. It holds no key and nothing that people wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It can answer chats.
    Ready,
    /// It still loads its model.
    Loading,
    /// It takes no new requests: it is full, about to end, or the settings say so.
    Draining,
    /// It lives, and refuses what the gateway asks: the key, perhaps.
    Refusing,
    /// It does not answer.
    Silent,
    /// It cannot be asked: a file that the settings name is missing or wrong.
    Unusable,
}
