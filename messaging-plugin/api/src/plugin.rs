//! The plugin protocol, which a messenger speaks to the gateway over `plugin/http.sock`.
//!
//! `docs/protocols/plugin.md` is the specification.

/// Host header of every request on the plugin socket; any other is refused.
pub const HOST: &str = "gateway.plugin";

/// Largest body of a request, in bytes: a sealed request of the largest padded plaintext, in base64url, and its other
/// fields.
pub const MAX_BODY: usize = 1_500_000;

/// Request headers that a plugin forwards. It drops all others and adds only Host.
pub const REQUEST_HEADERS: [&str; 4] =
    ["accept", "content-length", "content-type", "transfer-encoding"];

/// Response headers that a plugin returns.
pub const RESPONSE_HEADERS: [&str; 4] =
    ["cache-control", "content-length", "content-type", "retry-after"];
