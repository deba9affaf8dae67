//! Rooms: their events, members, state, names and lists (specification, client-server API, "Rooms", "Events").
//!
//! * [`create`]: a new room, and the room that every person enters at the first visit;
//! * [`send`]: messages, state and redactions; [`member`]: memberships, by a person and for others;
//! * [`view`]: what a person may see of a room; [`history`], [`relations`], [`search`]: events; [`list`]: state and
//!   members;
//! * [`expire`]: messages that are deleted; [`manage`]: what root sees and may do;
//! * [`aliases`]: names of rooms; [`directory`]: summaries, spaces, and the network's list of rooms.

mod aliases;
mod create;
mod directory;
mod expire;
mod history;
mod list;
pub(crate) mod manage;
mod member;
mod membership;
mod relations;
mod report;
mod search;
mod send;
mod space;
mod summary;
mod view;

use crate::matrix::Route;
pub use create::enter_home;
pub(crate) use expire::{erase, expire_all};
pub use member::leave_all;

/// The endpoints.
pub fn routes() -> Vec<Route> {
    [
        aliases::routes(),
        create::routes(),
        directory::routes(),
        history::routes(),
        list::routes(),
        membership::routes(),
        relations::routes(),
        report::routes(),
        search::routes(),
        send::routes(),
        space::routes(),
        summary::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
