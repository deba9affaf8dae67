//! People.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A person of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its number; never used again after the user is deleted.
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

/// Gives a user another login name. Its devices and keys stay its own.
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
    /// Whether the policy names the old login name, which is nobody's now.
    pub policy_names_old: bool,
    /// Whether the policy names the new login name, so that its rules hold for this user from now on.
    pub policy_names_new: bool,
}
