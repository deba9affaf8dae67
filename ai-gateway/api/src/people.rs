//! What the gateway keeps of a person, and its deletion; served on root's socket only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was deleted of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    /// Conversations, with the keys that open them.
    pub conversations: u64,
    /// Device keys that were bound; an app of a device that is still in the network binds its own again.
    pub device_keys: u64,
    /// Whether there were files of theirs below `people/` in the workspace.
    pub files: bool,
    /// Days on which their usage was counted.
    pub usage_days: u64,
}
