//! People.

use serde::{Deserialize, Serialize};

/// A person of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Login name: 1 to 63 of `a-z`, `0-9`, `.`, `_`, `-`, `@`, beginning with a letter or digit.
    pub name: String,
}
