//! State of the servers behind the models, for `maru doctor`; served on root's socket only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A server behind a provider of `openclaw.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderNode {
    /// The provider's name.
    pub provider: String,
    /// The server's `baseUrl`, as the settings have it.
    pub node: String,
    /// Its condition.
    pub condition: Condition,
    /// What is wrong, and what to do about it. It contains no key and no text of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The condition of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It can answer chats.
    Ready,
    /// It is loading its model.
    Loading,
    /// It takes no new requests: it is full, is stopping, or is drained by the settings.
    Draining,
    /// It refuses the gateway's requests, perhaps because of the key.
    Refusing,
    /// It does not answer.
    Silent,
    /// A file that the settings name is missing or wrong.
    Unusable,
}
