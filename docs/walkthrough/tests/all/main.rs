//! The trips of the flow pages, taken by the real programs; and rules that hold for the whole workspace.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]

mod approval;
mod apps;
mod bodies;
mod capture;
mod chat;
mod clock;
mod confidential;
mod confidential_fallback;
mod confidential_secrecy;
mod containers;
mod house;
mod identity;
mod impostors;
mod interop;
mod journal;
mod killed;
mod links;
mod logs;
mod model_use;
mod nodes;
mod ollama;
mod policy;
mod relay;
mod resilience;
mod rights;
mod rooms;
mod rooms_https;
mod secrecy;
mod strangers;
mod support;
mod surfaces;
mod tailscale;
mod tailscale_backup;
mod tailscale_life;
mod tailscale_map;
mod tailscale_routes;
mod wireguard;
