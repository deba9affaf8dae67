//! The agent, on lab machines with the real coordinator and relay.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]

mod alone;
mod bad_input;
mod change;
mod control_plane;
mod dial;
mod endpoints;
mod handover;
mod hostile;
mod https;
mod ipv6;
mod kill_switch;
mod load;
mod mesh;
mod mesh_https;
mod names;
mod nats;
mod pause;
mod public_certificate;
mod rights;
mod router;
mod routes;
mod routes_stock;
mod stock;
mod trouble;
mod wireguard;
mod wireguard_devices;
