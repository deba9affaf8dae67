//! What the homeserver serves to `maru`, besides the client-server API.

use endpoint::Raw;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

endpoint::declare! {
    /// Sign-in of messengers.
    SIGN_IN for Member;

    /// Makes a password that works once, from this person's nodes.
    LOGIN: POST "/maru/v1/rooms/login" => OneTimePassword;
    /// Returns what the server has of this person, a JSON object in each line.
    EXPORT: GET "/maru/v1/rooms/export" => Raw;
}

endpoint::declare! {
    /// Endpoints of the superuser's socket.
    ADMIN for Root;

    /// Counts rooms and messages.
    TOTALS: GET "/maru/v1/totals" => Totals;
    /// Lists the rooms.
    LIST_ROOMS: GET "/maru/v1/rooms" => [Room];
    /// Lists a room's members, and who is invited, banned or knocks. A room is named by its id or an alias.
    LIST_MEMBERS: GET "/maru/v1/rooms/{room}/members" => [RoomMember];
    /// Removes a room: everybody leaves it, its names and messages are deleted.
    REMOVE_ROOM: DELETE "/maru/v1/rooms/{room}" => Room;
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Rooms with members.
    pub rooms: u64,
    /// Rooms in which apps encrypt.
    pub encrypted: u64,
    /// Messages, with reactions and edits.
    pub messages: u64,
}

/// A room. Whoever may read the home machine's disk can read as much, beside who sent which event when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// Its id, such as `!x:maru.home.arpa`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its main alias, if it has one.
    pub alias: Option<String>,
    /// Who made it.
    pub creator: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// How many people are in it.
    pub members: u64,
    /// How many messages it holds, with reactions and edits.
    pub messages: u64,
    /// When the last event was sent, RFC 3339.
    pub last_event: Option<String>,
    /// Whether apps encrypt its messages. If not, telmeet and root can read them.
    pub encrypted: bool,
    /// Whether it is on the network's list of rooms.
    pub listed: bool,
}

/// Somebody's membership of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomMember {
    /// The person's user id.
    pub user_id: String,
    /// The name shown.
    pub name: Option<String>,
    /// `join`, `invite`, `knock` or `ban`.
    pub membership: String,
    /// The power level: 100 for a room's admin, 50 for a moderator.
    pub power: i64,
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
