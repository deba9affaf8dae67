//! What the confidential chain says on its wires: the router's messages, signed documents, seeds, settings.
//!
//! Types only: nothing here seals, opens, listens or reads a clock. The bytes of requests and replies are
//! `confidential-envelope`'s, evidence is judged by `attestation`. The protocol is in `docs/protocols/confidential.md`.
//!
//! * [`names`]: headers, media types, hosts, paths and bounds.
//! * [`evidence`], [`quote`], [`node`], [`routing`]: OpenPCC's messages, and ours beside them (protobuf).
//! * [`badge`]: who may ask, inside the encryption (protobuf).
//! * [`signed`]: a document, its signature and the certificate of the key that made it.
//! * [`certificate`], [`policy`], [`bundle`], [`config`]: what is signed.
//! * [`seeds`]: what `OHTTP_SEEDS_JSON` holds.
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
