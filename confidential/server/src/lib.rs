//! `maru-confidential`: the servers between a home and the nodes that answer it confidentially.
//!
//! ```text
//! client ─▶ relay ─▶ gateway ─▶ router ─▶ node            auth
//!           who         which nodes                       the configuration
//! ```
//!
//! Each role is a process of its own, and none of them learns both who asks and what: see [`relay`], [`gateway`] (RFC 9458),
//! [`router`] and [`auth`]. The protocol is in `docs/protocols/confidential.md`. [`deployment`] is for whoever is
//! responsible for all of them, and runs on no server.
//!
//! No request, reply, key or address of a client is logged or stored.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

mod args;
pub mod auth;
mod clock;
pub mod deployment;
mod error;
pub mod gateway;
mod http;
mod random;
pub mod relay;
pub mod router;
mod seeds;
mod signing;
mod state;

pub use args::{Args, run};
pub use error::{Error, ListenError, SeedsFileError, UpstreamSettingsError};
