//! Runs the short benches, so that they keep working.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{needs, stage::Count};
use crate::{traces::Traces, workspace};

/// Figures of our agent that its bench has in any case.
const TUNNEL: [&str; 5] =
    ["tcp_1_gbit_s", "cpu_s_per_gb", "added_p99_us", "resident_mib", "tcp_relay_gbit_s"];

/// What sealing costs.
pub(super) fn sealed() -> Result<Count> {
    let report = report(&["sealed"])?;
    ensure!(report["results"]["suites"]["x-wing"].is_object(), "no figures: {report}");
    Ok(Count::passed(1))
}

/// A short round of our agent and of the cable; it leaves nothing behind.
pub(super) fn tunnel() -> Result<Count> {
    if !needs::met("root", &workspace::root()) {
        println!("skipped: the bench of the tunnel needs root and /dev/net/tun");
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let before = Traces::now()?;
    let report = report(&["tunnel", "--short", "--peers", "maru"])?;
    let found = |peer: &str, key: &str| {
        report["results"][peer]["figures"][key]["median"].as_f64().is_some()
    };
    let missing: Vec<_> = TUNNEL.iter().filter(|key| !found("maru", key)).collect();
    ensure!(missing.is_empty(), "no {missing:?} of maru: {report}");
    ensure!(found("veth", "tcp_1_gbit_s"), "nothing of the cable: {report}");
    Traces::now()?.nothing_remains_since(&before)?;
    Ok(Count::passed(1))
}

/// A short life of a small network: nothing that the coordinator acknowledged is missing at its end, nor after a kill. It is
/// another one each hour in which there is a commit.
pub(super) fn life() -> Result<Count> {
    let mut load = Command::new(lab::binary("examples/control_load")?);
    load.arg("--program").arg(lab::binary("maru-coordinator")?);
    let seed = workspace::turn(&workspace::root())?.to_string();
    let out = load.args(["--agents", "12", "--life", "20", "--seed", &seed]).output()?;
    ensure!(out.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&out.stderr));
    let result: Value = serde_json::from_slice(&out.stdout)?;
    let has_lived = result["counts"]["endpoints_seen"].as_u64().is_some_and(|seen| seen > 0);
    ensure!(has_lived && result["compared_after_restart"] == true, "seed {seed}: {result}");
    Ok(Count::passed(1))
}

fn report(args: &[&str]) -> Result<Value> {
    let mut bench = Command::new(lab::binary("xtask")?);
    let out = bench.arg("bench").args(args).args(["--json", "--no-build"]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}
