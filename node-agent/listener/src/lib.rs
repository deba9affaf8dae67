//! Serves HTTP on a UNIX socket to callers that the mesh identified.
//!
//! The node's agent accepts a connection from the mesh, writes a PROXY protocol v2 header with the caller's identity
//! ([`mesh_identity::Header`]) and forwards the bytes. This crate accepts connections from the agent's uid only, puts the
//! header into the extensions of every request, and refuses requests that a website could send ([`Guard`]).
//!
//! A connection with the header's LOCAL command comes from a program of this machine and has no identity. Root may open it,
//! too. It may request [`LOCAL_PATHS`], and paths that the service authenticates by itself ([`Server::local`]).
//!
//! Authorization is the service's.
#![allow(clippy::disallowed_methods, reason = "a listener is a shell: it reads the clock")]

mod body_type;
mod close;
mod connection;
mod guard;
mod refusal;
mod serve;
mod site;
mod unread_body;

pub use close::{CloseSignal, Connection};
pub use connection::{Preface, PrefaceError, read_preface};
pub use guard::Guard;
pub use refusal::Refusal;
pub use serve::{LOCAL_PATHS, Limits, Server, Shown, health_only, problem};
pub use site::{Site, Website};

#[cfg(test)]
mod tests;
