//! The network map, built from the coordinator's messages and kept on disk.
//!
//! [`Netmap::apply`] applies each message of a map stream. Tunnel peers, filter rules, names and callers' identities are
//! derived from the map.

mod domain;
mod find;
mod map;
mod message;
mod routes;
mod sanitize;
mod view;
mod wireguard;

pub use find::FindError;
pub use map::{Error, Naming, Netmap};
pub use message::decode;
pub use routes::{RouteChoice, RouteProblem, check_offer};
pub use view::{Caller, Gateway, TunnelPeer, format_time, label, parse_time};
pub use wireguard::{ConnectionRule, ServedDevice, WireguardPlan};

#[cfg(test)]
mod tests;
