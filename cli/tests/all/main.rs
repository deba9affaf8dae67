//! The command, met as people and scripts meet it: its arguments, its output, and the real services that it starts or asks.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod admin;
mod bad_input;
mod confidential;
mod confine;
mod container;
mod control_plane;
mod gateway;
mod help;
mod least_right;
mod machine_key;
mod metrics;
mod model;
mod over_https;
mod setup;
mod units;
mod upgrade;
mod usage;
mod wireguard;
