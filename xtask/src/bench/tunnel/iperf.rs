//! iperf3: bytes per second, and what is lost.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::Process;
use serde_json::Value;

use super::bed::TestBed;

/// iperf3's own port.
pub(super) const PORT: u16 = 5201;
/// How long the server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a run may take beyond its length, in seconds.
const GRACE: u32 = 30;
/// Bytes of a datagram's payload.
const DATAGRAM: &str = "1200";

/// What a TCP run moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tcp {
    /// In both directions together, if both were measured.
    pub(super) gbit_s: f64,
    /// As it says.
    pub(super) bytes: f64,
}

/// What a UDP run moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Udp {
    /// What arrived.
    pub(super) gbit_s: f64,
    /// What did not, in per cent.
    pub(super) lost_percent: f64,
}

/// Starts a server, and waits until it listens.
pub(super) fn serve(bed: &TestBed) -> Result<Process> {
    const LOG: &str = "iperf3";
    let mut command = bed.server.command("iperf3");
    command.args(["--server", "--forceflush", "--port", &PORT.to_string()]);
    let mut process = bed.spawn(&bed.server, &mut command, LOG)?;
    let deadline = Instant::now() + PATIENCE;
    while !bed.log(&bed.server, LOG).contains("listening") {
        let ended = process.wait_for(Duration::from_millis(20))?;
        if ended.is_some() || Instant::now() > deadline {
            bail!("iperf3 does not serve: {}", bed.log(&bed.server, LOG).trim());
        }
    }
    Ok(process)
}

/// TCP for so many seconds; `more` is for iperf3.
pub(super) fn tcp(bed: &TestBed, server: IpAddr, seconds: u32, more: &[&str]) -> Result<Tcp> {
    read_tcp(&run(bed, server, seconds, more)?)
}

/// Datagrams of 1,200 bytes, so many Mbit of them in a second; 0 is as many as can be.
pub(super) fn udp(bed: &TestBed, server: IpAddr, seconds: u32, mbit_s: u32) -> Result<Udp> {
    let rate = format!("{mbit_s}M");
    let args = ["--udp", "--bitrate", &rate, "--length", DATAGRAM];
    let once = || run(bed, server, seconds, &args).and_then(|result| read_udp(&result));
    // A run whose first datagram is lost, too, ends without figures.
    once().or_else(|_| once()).or_else(|_| once())
}

fn run(bed: &TestBed, server: IpAddr, seconds: u32, more: &[&str]) -> Result<Value> {
    let mut command = bed.client.command("timeout");
    command.arg((seconds + GRACE).to_string());
    command.args(["iperf3", "--client", &server.to_string(), "--port", &PORT.to_string()]);
    command.args(["--time", &seconds.to_string(), "--json"]).args(more);
    // The server may still be at the end of the run before.
    for _ in 0..20 {
        let out = command.output().context("iperf3 does not run")?;
        let result: Value = serde_json::from_slice(&out.stdout).with_context(|| {
            format!("iperf3 {} said nothing in {} s", more.join(" "), seconds + GRACE)
        })?;
        let error = result["error"].as_str().unwrap_or_default();
        if !error.contains("busy") {
            ensure!(
                out.status.success() && error.is_empty(),
                "iperf3 {} failed: {error}",
                more.join(" ")
            );
            return Ok(result);
        }
        thread::sleep(Duration::from_millis(250));
    }
    bail!("iperf3's server is still busy")
}

/// Of one direction, or of both (`--bidir`).
fn read_tcp(result: &Value) -> Result<Tcp> {
    let end = &result["end"];
    let mut tcp = Tcp { gbit_s: 0.0, bytes: 0.0 };
    for (name, needed) in [("sum_received", true), ("sum_received_bidir_reverse", false)] {
        let sum = &end[name];
        if sum.is_null() && !needed {
            continue;
        }
        tcp.gbit_s +=
            sum["bits_per_second"].as_f64().context("the output of iperf3 has no speed")? / 1e9;
        tcp.bytes += sum["bytes"].as_f64().context("the output of iperf3 has no bytes")?;
    }
    Ok(tcp)
}

fn read_udp(result: &Value) -> Result<Udp> {
    let sum = &result["end"]["sum"];
    let sent = sum["bits_per_second"]
        .as_f64()
        .context("the output of iperf3 has no speed of datagrams")?;
    let lost_percent = sum["lost_percent"].as_f64().context("the output of iperf3 has no loss")?;
    Ok(Udp { gbit_s: sent * (1.0 - lost_percent / 100.0) / 1e9, lost_percent })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_one_direction() {
        let result = json!({ "end": {
            "sum_sent": { "bytes": 9, "bits_per_second": 9e9 },
            "sum_received": { "bytes": 250_000_000, "bits_per_second": 2e9 },
        } });
        assert_eq!(read_tcp(&result).unwrap(), Tcp { gbit_s: 2.0, bytes: 250e6 });
    }

    #[test]
    fn both_directions_are_added() {
        let result = json!({ "end": {
            "sum_received": { "bytes": 100, "bits_per_second": 2e9 },
            "sum_received_bidir_reverse": { "bytes": 50, "bits_per_second": 1e9 },
        } });
        assert_eq!(read_tcp(&result).unwrap(), Tcp { gbit_s: 3.0, bytes: 150.0 });
    }

    #[test]
    fn what_is_lost_did_not_arrive() {
        let result = json!({ "end": { "sum": { "bits_per_second": 8e8, "lost_percent": 25.0 } } });
        assert_eq!(read_udp(&result).unwrap(), Udp { gbit_s: 0.6, lost_percent: 25.0 });
    }

    #[test]
    fn a_result_without_figures_is_an_error() {
        for result in [json!({}), json!({ "error": "x" }), json!({ "end": { "sum": {} } })] {
            assert!(read_tcp(&result).is_err() && read_udp(&result).is_err());
        }
    }
}
