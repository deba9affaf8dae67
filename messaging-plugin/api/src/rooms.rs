//! What the homeserver serves to `maru`, besides the client-server API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

endpoint::declare! {
    /// Sign-in of messengers.
    SIGN_IN for Member;

    /// Makes a password that works once, from this person's nodes.
    LOGIN: POST "/maru/v1/rooms/login" => OneTimePassword;
}

/// A password for an app that knows no other way to sign in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OneTimePassword {
    /// The person's user id, such as `@kim:maru.home.arpa`.
    pub user_id: String,
    /// The password.
    pub password: String,
    /// How long it lives, in seconds.
    pub expires_in: u64,
}

/// Does not show the password.
impl std::fmt::Debug for OneTimePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneTimePassword").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
