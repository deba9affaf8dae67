//! Users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its number, which is never reused.
    pub id: u64,
    /// Login name.
    pub name: String,
    /// When it was created, RFC 3339.
    pub created: String,
    /// How many devices it has.
    pub devices: u64,
}

/// Creates a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Login name: 1 to 63 of `a-z`, `0-9`, `.`, `_`, `-`, `@`, beginning with a letter or digit.
    pub name: String,
}

/// Renames a user, who keeps devices and keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameUser {
    /// New login name, as in [`CreateUser`].
    pub name: String,
}

/// A user that was renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RenamedUser {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Whether the policy contains the old login name.
    pub policy_names_old: bool,
    /// Whether the policy contains the new login name, so that its rules now apply to this user.
    pub policy_names_new: bool,
}
