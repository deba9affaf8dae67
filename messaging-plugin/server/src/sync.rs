//! The two syncs: `GET /sync`, and simplified sliding sync (MSC4186). Each reads what changed after a position, and waits
//! if nothing did. There is no queue for an app: one that disconnects costs nothing. And what a person was notified of.

pub(crate) mod cache;
pub(crate) mod devices;
mod encryption;
mod long_poll;
mod notifications;
mod person_rooms;
pub(crate) mod reader;
pub(crate) mod recent;
mod room_positions;
mod sliding;
mod state;
mod timeline;
pub(crate) mod unread;
mod v3;

use crate::matrix::Route;

/// The endpoints of this part.
pub(crate) fn routes() -> Vec<Route> {
    [v3::routes(), sliding::routes(), notifications::routes()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
