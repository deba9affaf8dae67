//! The coordinator's decisions: who becomes a node, with which address and name, and what each node's map holds.
//!
//! No I/O and no clock: the server reads what is known inside a transaction, asks here, and writes the answer in the
//! same transaction.
//!
//! * [`model`]: what is known of nodes and of devices that wait.
//! * [`key`]: pre-auth keys.
//! * [`registration`]: [`registration::decide`], what a request to register leads to; [`tagging`]: who gives which tag;
//!   [`code`]: what people call a device that waits; [`invitation_form`]: what a person pastes for it.
//! * [`address`], [`name`]: what a new node gets.
//! * [`network`]: the network as one value, compiled by the policy; [`map`]: one node's view of it, and what changed.
//! * [`admission`]: whom the relay lets in.
//! * [`route`]: subnets and exit nodes; [`dns`]: resolvers and names beside those of the nodes.
//! * [`bucket`]: how often a node may do something; [`presence`]: who is told to be connected.
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
pub mod tagging;
pub mod time;
