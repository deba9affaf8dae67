//! The coordinator's processes, met as devices and the admin meet them: over sockets.
//!
//! They fail if a stranger gets a map or an address, a one-time key admits two, a removed node still hears of anyone, or
//! a map stream says something twice. They do not see what stock clients make of the maps; `interop/` does.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "tests of daemons run on the real clock")]

mod acme;
mod admin;
mod admission;
mod audit;
mod bodies;
mod bounds;
mod browser;
mod columns;
mod copy;
mod device;
mod embedded;
mod harness;
mod hold;
mod http;
mod https;
mod killed;
mod listener;
mod map;
mod mesh_certificates;
mod metrics;
mod migrated;
mod nginx;
mod openapi;
mod page;
mod pitfalls;
mod process;
mod registration;
mod relay;
mod removal;
mod routes;
mod shared;
mod store;
mod tls;
mod verify;
mod versions;
mod waiting;
mod wireguard;
