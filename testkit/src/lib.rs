//! What tests of several crates need: [`eventually`], an HTTP/1.1 client ([`http`]) and scripted servers ([`server`]) over
//! any stream. [`blocking`] has the same without a runtime; [`pebble`] is an authority for certificates; [`kill`] draws the
//! moments at which a program is killed, [`metrics`] compares counters with their page, [`postgres`] starts a database
//! server, [`qr`] reads QR codes, and [`small_disk`] is soon full.
//!
//! It depends on no crate of this workspace, so the tests of each can use it; a house rule keeps it out of programs.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "tests run on the real clock, and a panic is how they fail"
)]

pub mod blocking;
pub mod http;
pub mod kill;
pub mod metrics;
pub mod pebble;
pub mod postgres;
pub mod qr;
pub mod server;
pub mod small_disk;
mod wait;

pub use wait::{Condition, PATIENCE, equal, eventually, eventually_within};
