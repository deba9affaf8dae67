//! The AI gateway's interface: wire types of sealed chat and of rooms, settings and the admin interface.
//!
//! Types only: no sealing, no I/O, no clock. `hpke-envelope` seals and opens; `ai-gateway` serves; `telmeet` and `maru
//! chat` are its callers.
#![forbid(unsafe_code)]

pub mod apps;
pub mod config;
pub mod endpoints;
pub mod kind;
pub mod memory;
pub mod people;
pub mod providers;
pub mod rooms;
pub mod sealed;
pub mod settings;
pub mod usage;

pub use common::wire;
