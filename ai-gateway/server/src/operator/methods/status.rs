//! Whether the gateway works, and who is connected.

use serde_json::{Value, json};

use crate::operator::{caller::Caller, connect::Scope, key, snapshot};

/// A method of this file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Health,
    Status,
    Presence,
    Config,
}

impl Call {
    pub(super) async fn run(self, caller: &Caller<'_>) -> Value {
        match self {
            Self::Health => snapshot::health(caller.app).await,
            Self::Status => json!({
                "runtimeVersion": snapshot::VERSION,
                "uptimeMs": snapshot::uptime_ms(caller.app),
                "health": snapshot::health(caller.app).await,
                "heartbeat": {"defaultAgentId": key::AGENT, "agents": []},
                "sessions": {"defaults": {}, "recent": []},
            }),
            Self::Presence => presence(caller).into(),
            // The settings of the gateway are for its admin at home.
            Self::Config => json!({
                "exists": true, "valid": true, "raw": null, "hash": "", "config": {}, "parsed": {},
                "issues": [], "warnings": [], "legacyIssues": [],
            }),
        }
    }
}

/// The caller's own clients; all people's for an admin.
fn presence(caller: &Caller<'_>) -> Vec<Value> {
    let is_admin = caller.connected.scopes.has(Scope::Admin);
    let whose = (!is_admin).then_some(caller.person);
    snapshot::presence(&caller.app.operators.present(whose), crate::now_ms())
}
