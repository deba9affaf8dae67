//! Serves HTTP on a UNIX socket to callers that the mesh identified.
//!
//! The node's agent accepts a connection from the mesh, writes a PROXY protocol v2 header that
//! says who is calling ([`mesh_identity::Header`]) and passes the bytes on. This crate is the
//! other end: it takes connections from the agent's uid alone, reads that header on the
//! connection's own task, puts it into the extensions of every request, and refuses what a
//! website open on a member's laptop could send ([`Guard`]).
//!
//! A connection that begins with the header's LOCAL command (a program of this machine) has no
//! identity. It may come from the superuser as well, and ask for [`LOCAL_PATHS`]; of all else only
//! for what the service knows how to ask a key for ([`Server::local`]), behind the same guard.
//!
//! It does not decide what a caller may do: that is the service's.
#![allow(clippy::disallowed_methods, reason = "a listener is a shell: it reads the clock")]

mod close;
mod connection;
mod guard;
mod rest;
mod serve;

pub use close::{CloseSignal, Connection};
pub use connection::{Preface, PrefaceError, read_preface};
pub use guard::{Guard, Refusal};
pub use serve::{LOCAL_PATHS, Limits, Server, health_only, problem};

#[cfg(test)]
mod tests;
