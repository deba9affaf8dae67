//! The users of the servers: those of their units, which a test compares.

/// Of the relay.
pub const RELAY: u32 = 61011;
/// Of the gateway.
pub const GATEWAY: u32 = 61012;
/// Of the router.
pub const ROUTER: u32 = 61013;
/// Of the configuration's server.
pub const AUTH: u32 = 61014;
/// Of a node's keeper of the key.
pub const BOOT: u32 = 61015;
/// Of what faces the router on a node.
pub const ROUTER_COM: u32 = 61016;
/// Of a node's engine.
pub const ENGINE: u32 = 61017;
