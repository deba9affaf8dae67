//! The response to a handshake (`HelloOk`): what the gateway has and what the client may do.

use serde_json::{Value, json};

use super::{
    connect::{Connected, PROTOCOL},
    key::{AGENT, MAIN, MAIN_KEY},
    people::ConnectedClient,
    policy::{BUFFERED_MAX, MESSAGE_MAX, TICK},
    snapshot::{VERSION, health, presence, uptime_ms},
};
use crate::{App, now_ms};

/// Events that are sent.
const EVENTS: [&str; 4] = ["connect.challenge", "tick", "chat", "sessions.changed"];

/// The payload.
pub(super) async fn hello(
    app: &App,
    connection: u64,
    client: &Connected,
    present: &[ConnectedClient],
    methods: &[&str],
) -> Value {
    json!({
        "type": "hello-ok",
        "protocol": PROTOCOL,
        "server": {"version": VERSION, "connId": connection.to_string()},
        "features": {"methods": methods, "events": EVENTS},
        "snapshot": {
            "presence": presence(present, now_ms()),
            "health": health(app).await,
            "stateVersion": {"presence": 0, "health": 0},
            "uptimeMs": uptime_ms(app),
            "sessionDefaults": {
                "defaultAgentId": AGENT,
                "mainKey": MAIN,
                "mainSessionKey": MAIN_KEY,
                "scope": "per-sender",
            },
        },
        "auth": {"role": "operator", "scopes": client.scopes.names()},
        "policy": {
            "maxPayload": MESSAGE_MAX,
            "maxBufferedBytes": BUFFERED_MAX,
            "tickIntervalMs": TICK.as_millis(),
        },
    })
}
