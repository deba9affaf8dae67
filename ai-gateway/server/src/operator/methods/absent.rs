//! Answers about what this gateway does not have: the Control UI asks for it, and shows nothing then.

use serde_json::{Value, json};

pub(super) fn list() -> Value {
    json!([])
}

pub(super) fn ok() -> Value {
    json!({"ok": true})
}

pub(super) fn branches() -> Value {
    json!({"branches": []})
}

pub(super) fn exchanges() -> Value {
    json!({"exchanges": []})
}

pub(super) fn providers() -> Value {
    json!({"ts": crate::now_ms(), "providers": []})
}

pub(super) fn questions() -> Value {
    json!({"questions": []})
}

pub(super) fn jobs() -> Value {
    json!({"jobs": [], "total": 0, "offset": 0, "limit": 0, "hasMore": false, "nextOffset": null})
}

pub(super) fn scheduler() -> Value {
    json!({"enabled": false, "jobs": 0, "nextWakeAtMs": null})
}

pub(super) fn tasks() -> Value {
    json!({"tasks": []})
}

pub(super) fn talk() -> Value {
    let none = json!({"ready": false, "providers": []});
    json!({
        "modes": [], "transports": [], "brains": [],
        "speech": none, "transcription": none, "realtime": none,
    })
}

pub(super) fn card() -> Value {
    json!({"card": null})
}

pub(super) fn update() -> Value {
    json!({"sentinel": null, "updateAvailable": null})
}
