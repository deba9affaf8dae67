//! Types of the confidential chain: the router's messages, signed documents, seeds, settings.
//!
//! Crate `confidential-envelope` seals and opens requests and responses, `attestation` verifies evidence. The protocol is in `docs/protocols/confidential.md`.
//!
//! * [`names`]: headers, media types, hosts, paths and bounds.
//! * [`evidence`], [`quote`], [`node`], [`routing`]: OpenPCC's messages with our additions (protobuf).
//! * [`badge`]: permission to use models (protobuf).
//! * [`signed`]: a document with its signature and the certificate of the signing key.
//! * [`certificate`], [`policy`], [`bundle`], [`config`]: the documents.
//! * [`seeds`]: the content of `OHTTP_SEEDS_JSON`.
//! * [`settings`]: one file for each daemon.
#![forbid(unsafe_code)]

pub mod badge;
pub mod bundle;
pub mod certificate;
pub mod config;
pub mod endpoints;
pub mod evidence;
pub mod names;
pub mod node;
pub mod policy;
pub mod quote;
pub mod routing;
pub mod seeds;
pub mod settings;
pub mod signed;

mod document;
mod protobuf;
mod text;

pub use node::NodeId;
pub use protobuf::Malformed;
