//! The gateway's state, as clients are told.

use serde_json::{Value, json};

use super::{key::AGENT, people::ConnectedClient};
use crate::{App, now_ms};

/// The gateway's version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Connected clients (`PresenceEntry`).
pub(super) fn presence(present: &[ConnectedClient], now_ms: u64) -> Vec<Value> {
    let entry = |it: &ConnectedClient| {
        json!({
            "host": it.node,
            "version": it.client.version,
            "platform": it.client.platform,
            "mode": it.client.mode,
            "text": it.client.id,
            "ts": now_ms,
            "roles": ["operator"],
            "scopes": it.client.scopes.names(),
            "user": {"id": it.person.to_string()},
        })
    };
    present.iter().map(entry).collect()
}

/// Whether a model can answer (`health` of `Snapshot`).
pub(super) async fn health(app: &App) -> Value {
    let mut health = json!({"ts": now_ms(), "durationMs": 0, "defaultAgentId": AGENT});
    if app.models.ready().await {
        health["ok"] = true.into();
    }
    health
}

/// Milliseconds since the gateway started.
pub(super) fn uptime_ms(app: &App) -> u64 {
    u64::try_from(app.operators.uptime().as_millis()).unwrap_or(u64::MAX)
}
