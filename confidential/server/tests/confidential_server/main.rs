//! The roles with real sockets and real TLS: a deployment made by the command itself, a client that is the envelope's, and
//! nodes that do as a script says.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]

mod auth;
mod chain;
mod client;
mod deployment;
mod epochs;
mod faults;
mod flood;
mod gateway;
mod logs;
mod node;
mod openpcc;
mod process;
mod program;
mod relay;
mod router;
mod slow;
mod world;
