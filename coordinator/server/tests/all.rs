//! The coordinator's processes, met as devices and the admin meet them: over sockets.
//!
//! They fail if a stranger gets a map or an address, a one-time key admits two, a removed node still hears of anyone, or
//! a map stream says something twice. They do not see what stock clients make of the maps; `interop/` does.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "tests of daemons run on the real clock")]

#[path = "all/acme.rs"]
mod acme;
#[path = "all/admin.rs"]
mod admin;
#[path = "all/admission.rs"]
mod admission;
#[path = "all/audit.rs"]
mod audit;
#[path = "all/bodies.rs"]
mod bodies;
#[path = "all/bounds.rs"]
mod bounds;
#[path = "all/browser.rs"]
mod browser;
#[path = "all/columns.rs"]
mod columns;
#[path = "all/copy.rs"]
mod copy;
#[path = "all/device.rs"]
mod device;
#[path = "all/door.rs"]
mod door;
#[path = "all/embedded.rs"]
mod embedded;
#[path = "all/harness.rs"]
mod harness;
#[path = "all/hold.rs"]
mod hold;
#[path = "all/http.rs"]
mod http;
#[path = "all/https.rs"]
mod https;
#[path = "all/killed.rs"]
mod killed;
#[path = "all/map.rs"]
mod map;
#[path = "all/metrics.rs"]
mod metrics;
#[path = "all/nginx.rs"]
mod nginx;
#[path = "all/openapi.rs"]
mod openapi;
#[path = "all/page.rs"]
mod page;
#[path = "all/pitfalls.rs"]
mod pitfalls;
#[path = "all/postgres.rs"]
mod postgres;
#[path = "all/process.rs"]
mod process;
#[path = "all/registration.rs"]
mod registration;
#[path = "all/relay.rs"]
mod relay;
#[path = "all/removal.rs"]
mod removal;
#[path = "all/routes.rs"]
mod routes;
#[path = "all/store.rs"]
mod store;
#[path = "all/tls.rs"]
mod tls;
#[path = "all/verify.rs"]
mod verify;
#[path = "all/versions.rs"]
mod versions;
#[path = "all/waiting.rs"]
mod waiting;
