//! Pre-auth keys and invitations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Secret;

/// Prefix of every pre-auth key.
pub const AUTH_KEY_PREFIX: &str = "marukey-";

/// Random bytes in a pre-auth key; each is two hex digits (0-9, a-f) after the prefix.
pub const AUTH_KEY_RANDOM_LEN: usize = 24;

/// Creates a pre-auth key.
///
/// Its owner is a user or tags; with tags, `user` is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateKey {
    /// Owner of the devices that join with it; must exist.
    pub user: Option<String>,
    /// Tags of the devices that join with it, each `tag:…`.
    pub tags: Vec<String>,
    /// Whether more than one device may join with it.
    pub reusable: bool,
    /// Whether its devices are removed soon after they disconnect.
    pub ephemeral: bool,
    /// Whether its devices need no approval.
    pub pre_approved: bool,
    /// Seconds until it expires. Default: one hour.
    pub expires_in_s: Option<u64>,
}

/// A new key, which is shown only here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// Number of the key.
    pub id: u64,
    /// The key itself.
    pub key: Secret,
    /// When it expires, RFC 3339.
    pub expires: String,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Number of the key.
    pub id: u64,
    /// Owner of the devices that join with it.
    pub user: Option<String>,
    /// Tags of the devices that join with it.
    pub tags: Vec<String>,
    /// Whether more than one device may join with it.
    pub reusable: bool,
    /// Whether its devices are removed soon after they disconnect.
    pub ephemeral: bool,
    /// Whether its devices need no approval.
    pub pre_approved: bool,
    /// Whether it can still be used.
    pub state: KeyState,
    /// How many registrations used it.
    pub uses: u64,
    /// When it was created, RFC 3339.
    pub created: String,
    /// When it expires, RFC 3339.
    pub expires: String,
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It can be used.
    Valid,
    /// A one-time key that a device used.
    Used,
    /// It expired, or the admin expired it.
    Expired,
}

/// Creates an invitation for one device of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// The owner of the device; created if missing.
    pub user: String,
    /// Whether the device needs no approval. Over plain HTTP this needs `force`.
    #[serde(default)]
    pub pre_approved: bool,
    /// Allows `pre_approved` although the invitation may be intercepted.
    #[serde(default)]
    pub force: bool,
    /// Seconds until the invitation expires. Default: one day.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

/// An invitation for one device, which is shown only here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedInvitation {
    /// The text that [`crate::invitation`] describes.
    pub url: Secret,
    /// Number of the pre-auth key in it.
    pub key_id: u64,
    /// The owner of the device.
    pub user: String,
    /// Whether the user was created.
    pub user_created: bool,
    /// When it expires, RFC 3339.
    pub expires: String,
}
