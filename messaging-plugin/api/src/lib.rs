//! The plugin protocol between telmeet and the gateway, what telmeet and the participant serve to `maru`, and telmeet's settings.
//!
//! Types and constants only. `telmeet` is the client of the plugin protocol, `ai-gateway` its server.
#![forbid(unsafe_code)]

pub mod participant;
pub mod plugin;
pub mod rooms;
pub mod settings;
