//! `maru-confidential`: the servers between a home and the nodes that answer it confidentially.
//!
//! ```text
//! client ─▶ relay ─▶ gateway ─▶ router ─▶ node            auth
//!           address     requested nodes                   the configuration
//! ```
//!
//! Each role is a process of its own, and none of them sees both the client's address and the content: see [`relay`], [`gateway`] (RFC 9458),
//! [`router`] and [`auth`]. The protocol is in `docs/protocols/confidential.md`. [`deployment`] is for their
//! administrator.
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
mod server;
mod signing;
mod state;

pub use args::{Args, run};
pub use error::{Error, ListenError, SeedsFileError, UpstreamSettingsError};
pub use server::Server;
