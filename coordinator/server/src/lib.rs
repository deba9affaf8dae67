//! The coordinator daemon: HTTP, Noise, SQL, STUN, relay, admin API.
//!
//! It runs as two processes: [`serve`], the control plane, and [`relay`], which works while the control plane is down.
//! `coordinator-core` decides; this crate has the sockets, the clock and the database.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

pub mod admin;
mod admission;
mod app;
pub mod args;
mod clock;
pub mod config;
mod control;
mod counters;
mod derp_map;
mod files;
mod hub;
mod limits;
pub mod listener;
mod maintenance;
mod metrics;
mod pages;
mod random;
mod registry;
pub mod relay;
pub mod serve;
mod sharing;
pub mod store;
mod updates;
mod verify;

use chassis::endpoint::{Declaration, list};

pub use args::{Args, run};

/// The endpoints of each HTTP surface: the public port, its Noise channel, the admin socket, the metrics, the relay.
#[must_use]
pub fn endpoints() -> [(&'static str, Vec<Declaration>); 5] {
    [
        ("coordinator", list(&listener::endpoints())),
        ("noise", list(&control::machine::endpoints())),
        ("admin", list(&admin::endpoints())),
        ("counters", list(&counters::endpoints())),
        ("relay", derp::http::ENDPOINTS.to_vec()),
    ]
}
