//! The plugin protocol between telmeet and the gateway, and telmeet's settings.
//!
//! Types and constants only. `telmeet` is the client of the plugin protocol, `ai-gateway` its server.
#![forbid(unsafe_code)]

pub mod plugin;
pub mod settings;
