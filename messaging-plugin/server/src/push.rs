//! Push without a cloud: this server is its own push gateway (specification, push gateway API), and the UnifiedPush and ntfy
//! server of its people's phones.
//!
//! ```text
//! commit ─▶ pending ─▶ notify (push rules) ─▶ topics ─▶ subscribe ─▶ ntfy on the phone ─▶ Element X, FluffyChat
//! ```
//!
//! A message has the ids of an event and of its room, and how many rooms are unread: no name and no text. The app then reads the
//! event over the mesh. A lost message loses nothing: the app's next sync shows everything.

pub(crate) mod address;
mod gateway;
mod notify;
pub(crate) mod pending;
pub(crate) mod service;
mod subscribe;
pub(crate) mod topics;

use axum::http::Method;

use crate::matrix::{Route, raw};
pub(crate) use notify::start;

/// The endpoints of this part.
pub(crate) fn routes() -> Vec<Route> {
    [
        raw(Method::GET, address::GATEWAY, gateway::discover),
        raw(Method::POST, address::GATEWAY, gateway::notify),
        raw(Method::GET, "/{topic}", subscribe::discover),
        raw(Method::POST, "/{topic}", gateway::publish),
        raw(Method::PUT, "/{topic}", gateway::publish),
        raw(Method::GET, "/{topic}/json", subscribe::lines),
        raw(Method::GET, "/{topic}/ws", subscribe::socket),
        raw(Method::GET, "/{topic}/auth", subscribe::check),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
