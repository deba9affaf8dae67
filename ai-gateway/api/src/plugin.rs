//! The plugin protocol: what a messenger says to the gateway over `plugin/http.sock`.
//!
//! `docs/protocols/plugin.md` is the specification.

/// Host header of every request on the plugin socket; any other is refused.
pub const HOST: &str = "gateway.plugin";

/// The gateway's socket for plugins, below the root.
pub const SOCKET: &str = "run/maru/plugin/http.sock";

/// The user id of telmeet, the one plugin, unless the settings name another.
pub const TELMEET_UID: u32 = 61003;

/// Paths that a plugin may relay, the same on both sides of it.
pub mod path {
    pub use crate::sealed::path::{CHAT, KEYS};
}

/// Request headers that a plugin passes on; it drops every other, and adds none but Host.
pub const REQUEST_HEADERS: [&str; 4] =
    ["accept", "content-length", "content-type", "transfer-encoding"];

/// Response headers that a plugin passes back.
pub const RESPONSE_HEADERS: [&str; 4] =
    ["cache-control", "content-length", "content-type", "retry-after"];
