//! What sealing and opening cost.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::report::{Report, row};

/// The steps, as the example names them and as people read them.
const STEPS: [(&str, &str); 4] = [
    ("seal_request_us", "client seals a request"),
    ("open_request_us", "gateway opens it"),
    ("seal_chunk_us", "gateway seals a chunk"),
    ("open_chunk_us", "client opens it"),
];

/// The example of `hpke-envelope` that measures.
pub(super) const EXAMPLE: &str = "cost";

/// The suites, as the example names them.
const SUITES: [&str; 2] = ["x-wing", "x25519"];

/// Runs the crate's own example, which has nothing else to do.
pub(super) fn run() -> Result<Report> {
    let example = lab::binary(&format!("examples/{EXAMPLE}"))?;
    let out = Command::new(&example).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let out = out.with_context(|| format!("cannot run {}", example.display()))?;
    ensure!(out.status.success(), "{} failed ({})", example.display(), out.status);
    let results: Value = serde_json::from_slice(&out.stdout).context("the example's output")?;

    let mut table = vec![row(["µs, median", SUITES[0], SUITES[1]])];
    for (key, what) in STEPS {
        let cost = |suite: &str| results["suites"][suite][key].to_string();
        table.push(row([what, &cost(SUITES[0]), &cost(SUITES[1])]));
    }
    for (at, threads) in ["one thread", "two threads"].iter().enumerate() {
        let rate = |suite: &str| results["suites"][suite]["opened_per_s"][at].to_string();
        let what = format!("opened in a second, {threads}");
        table.push(row([&what, &rate(SUITES[0]), &rate(SUITES[1])]));
    }
    let size = |suite: &str| results["suites"][suite]["request_bytes"].to_string();
    table.push(row(["bytes of a request as sent", &size(SUITES[0]), &size(SUITES[1])]));
    let notes = vec![format!(
        "{} requests of {} bytes, each with {} chunks of {} bytes; one thread; signature and \
         replay check included",
        results["requests"],
        results["question_bytes"],
        results["chunks_per_reply"],
        results["event_bytes"]
    )];
    Ok(Report { unit: "microseconds", results, table, notes })
}
