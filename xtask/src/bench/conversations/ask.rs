//! Asks a peer, and reads the answer's figures.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::gateway::{Ask, Load, Peer};

/// Asks; each request must be answered.
pub(super) fn ask(load: &Load, peer: &Peer, ask: Ask<'_>) -> Result<Value> {
    let asked = load.ask(&ask)?;
    ensure!(asked["failed"] == 0, "{}: not everything was answered: {asked}", peer.kind());
    Ok(asked)
}

/// The middle of the times of an answer, in milliseconds.
pub(super) fn p50_ms(asked: &Value) -> Result<f64> {
    Ok(asked["total_us"]["p50"].as_f64().context("no time")? / 1e3)
}
