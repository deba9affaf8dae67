//! OpenClaw's WebSocket protocol v4, for its operators' clients: `docs/protocols/openclaw.md`.
//!
//! ```text
//! upgrade ─▶ connection ─challenge─▶ connect ─hello─▶ methods ─▶ sessions, models
//!                │                                       │
//!              outbox ◀──── events ──── people ◀─────── run
//! ```
//!
//! The mesh says who calls; each person reaches their own sessions alone.

mod caller;
pub mod connect;
mod connection;
pub mod frame;
mod hello;
mod key;
mod methods;
mod outbox;
mod people;
mod policy;
mod run;
mod snapshot;

pub(crate) use connection::open;
pub(crate) use people::Operators;
