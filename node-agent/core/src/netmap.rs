//! The network map: what the coordinator told, put together from deltas and kept on disk.
//!
//! [`Netmap::apply`] takes each message of a map stream. What the rest of the agent needs
//! is derived here: tunnel peers, filter rules, names, who calls from an address.

mod domain;
mod map;
mod message;
mod naming;
mod sound;
mod view;

pub use map::{Error, Netmap};
pub use message::decode;
pub use naming::Naming;
pub use view::{Caller, Gateway, TunnelPeer, label, parse_time};

#[cfg(test)]
mod tests;
