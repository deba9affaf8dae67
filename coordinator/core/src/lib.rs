//! The coordinator's decisions: who becomes a node, with which address and name, and the content of each node's map.
//!
//! No I/O and no clock: the server reads the state in a transaction, calls a decision, and writes its result in the same
//! transaction.
//!
//! * [`model`]: users, nodes and waiting devices.
//! * [`key`]: pre-auth keys.
//! * [`registration`]: decides on requests to register; [`tagging`]: who may assign which tag; [`code`]: short codes of
//!   waiting devices; [`invitation_form`]: the form on their page.
//! * [`address`], [`name`]: addresses and names of nodes.
//! * [`network`]: the network as one value, compiled by the policy; [`map`]: one node's view of it, and what changed;
//!   [`session`]: a map stream that follows it.
//! * [`admission`]: the list of node keys for the relay.
//! * [`route`]: subnets and exit nodes; [`dns`]: resolvers and extra records.
//! * [`wireguard`]: devices that have only WireGuard.
//! * [`signing_request`]: a node's request for a public certificate.
//! * [`bucket`]: token buckets; [`presence`]: which nodes are reported as connected.
//! * [`time`]: times on the wire.
#![forbid(unsafe_code)]

pub mod address;
pub mod admission;
pub mod api_key;
mod attributes;
pub mod bucket;
pub mod code;
pub mod dns;
pub mod forwarded;
pub mod invitation_form;
pub mod key;
pub mod map;
pub mod model;
pub mod name;
pub mod network;
pub mod policy;
pub mod presence;
pub mod registration;
pub mod route;
pub mod session;
pub mod signing_request;
pub mod tagging;
pub mod time;
pub mod wireguard;
