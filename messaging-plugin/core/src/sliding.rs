//! Simplified sliding sync (MSC4186, as `org.matrix.simplified_msc3575`): what one connection of an app was sent, and
//! what it is to be sent next.
//!
//! The state is in memory and is lost with the process: the client then gets `M_UNKNOWN_POS` and starts the connection
//! anew, which nobody notices. To-device messages do not depend on it: they have tokens of their own.
//!
//! ```text
//! request(pos) ─▶ Connections::resume ─▶ Connection::plan ─▶ the server reads events
//!                                                                   │
//!                         response(new pos) ◀─ Connection::commit ◀─┘
//! ```
//!
//! A client may lose a response, or drop a poll and repeat it; then responses to both polls may be made, in any order. So
//! these positions are valid: the one that it last named, and those of the last responses to that. Naming one of these
//! confirms that what it showed arrived, and what the others showed did not.

mod connection;
mod plan;
mod required;
mod window;

pub use self::{
    connection::{CONNECTION_ID_MAX, CONNECTIONS_MAX, Connection, Connections, PENDING_MAX},
    plan::{Plan, RoomPlan, ShownRoom, Timeline},
    required::{Reader, RequiredState},
    window::{LISTS_MAX, RANGES_MAX, REQUIRED_MAX, RoomEntry, SUBSCRIPTIONS_MAX, TIMELINE_MAX},
};

#[cfg(test)]
mod tests;
