//! The plugin protocol between telmeet and the gateway, what telmeet serves to `maru`, and telmeet's settings.
//!
//! Types and constants only. `telmeet` is the client of the plugin protocol, `ai-gateway` its server.
#![forbid(unsafe_code)]

pub mod plugin;
pub mod rooms;
pub mod settings;
