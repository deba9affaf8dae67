//! Bounds of a connection.

use std::time::Duration;

/// Largest message before the handshake is done, in bytes (OpenClaw's).
pub(super) const FIRST_MESSAGE_MAX: usize = 64 << 10;
/// Largest message after it, in bytes (`policy.maxPayload`).
pub(super) const MESSAGE_MAX: usize = 1 << 20;
/// Most bytes that wait to be sent (`policy.maxBufferedBytes`): one history as long as one may be, and replies meanwhile.
pub(super) const BUFFERED_MAX: usize = 4 << 20;
/// How often something is sent where nothing happens, so that each side sees that the connection stands
/// (`policy.tickIntervalMs`).
pub(super) const TICK: Duration = Duration::from_secs(15);
