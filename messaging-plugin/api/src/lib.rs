//! What telmeet says: the plugin protocol, which it speaks to the gateway, and its settings.
//!
//! Types and constants only. `telmeet` is the client of the plugin protocol, `ai-gateway` its server.
#![forbid(unsafe_code)]

pub mod plugin;
pub mod settings;
