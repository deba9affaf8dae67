//! Throughput of the mesh beside the same cables without it.

use std::{fs, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Instance, Machine, ROOT, topology::HOME};
use serde_json::{Value, json};

use super::{Report, deployment, round, row};
use crate::{progress::Step, stop};

/// Everybody reaches everything: it is the throughput that is measured.
const OPEN: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["*:*"] }],
}"#;
/// Seconds of each run.
const SECONDS: &str = "5";
/// iperf3's port.
const PORT: u16 = 5201;

/// One way from the laptop.
#[derive(Debug)]
struct Way {
    key: &'static str,
    name: &'static str,
    to: String,
}

/// What went over one way.
#[derive(Debug)]
struct Sample {
    tcp: f64,
    udp: f64,
    lost: f64,
    lost_slow: f64,
}

/// Measures every way in one run.
pub(super) fn run() -> Result<Report> {
    let mut deployment = deployment()?;
    let laptop = deployment.member("laptop", "alice")?;
    fs::write(deployment.home.root.join("policy.json"), OPEN)?;
    deployment.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")])?;
    let status = laptop.instance.status()?;
    let mesh = status["gateway"]["addresses"][0].as_str().context("no mesh address of home")?;
    let ways = [
        Way { key: "veth", name: "one veth pair (router)", to: "10.77.2.1".to_owned() },
        Way { key: "plain", name: "home, without the mesh", to: HOME.to_owned() },
        Way { key: "mesh", name: "home, over the mesh", to: mesh.to_owned() },
    ];
    let _servers = [serve(&deployment.topology.router)?, serve(&deployment.home.machine)?];
    wait_for(&laptop.instance, mesh)?;
    let mut samples = Vec::new();
    for way in &ways {
        stop::check()?;
        let step = Step::new(&format!("iperf3: {}", way.name));
        samples.push(sample(&laptop.instance, way)?);
        step.done(way.name);
    }
    let status = laptop.instance.status()?;
    let path = status["peers"][0]["path"].as_str().unwrap_or("unknown");
    report(path, &ways, &samples)
}

fn serve(machine: &Machine) -> Result<lab::Process> {
    let mut command = machine.command("iperf3");
    command.args(["--server", "--port", &PORT.to_string()]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    machine.spawn(&mut command)
}

/// Waits until the policy has arrived.
fn wait_for(laptop: &Instance, mesh: &str) -> Result<()> {
    let address = std::net::SocketAddr::new(mesh.parse()?, PORT);
    let mut last = None;
    for _ in 0..20 {
        let dial = || std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1));
        match laptop.machine.in_network(dial) {
            // The server takes this for a broken client and waits for the next.
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
        thread::sleep(Duration::from_millis(500));
    }
    Err(last.context("no try")?).context("iperf3 is not reached over the mesh")
}

fn sample(laptop: &Instance, way: &Way) -> Result<Sample> {
    let tcp = iperf(laptop, &way.to, &[])?;
    let fast = iperf(laptop, &way.to, &["--udp", "--bandwidth", "0", "--length", "1200"])?;
    let slow = iperf(laptop, &way.to, &["--udp", "--bandwidth", "100M", "--length", "1200"])?;
    let (udp, lost) = datagrams(&fast)?;
    let (_, lost_slow) = datagrams(&slow)?;
    let tcp = tcp["end"]["sum_received"]["bits_per_second"].as_f64().context("no TCP result")?;
    Ok(Sample { tcp: tcp / 1e9, udp, lost, lost_slow })
}

/// Gbit/s that arrived, and the per cent that did not.
fn datagrams(result: &Value) -> Result<(f64, f64)> {
    let sum = &result["end"]["sum"];
    let sent = sum["bits_per_second"].as_f64().context("no UDP result")?;
    let lost = sum["lost_percent"].as_f64().context("no UDP loss")?;
    Ok((sent * (1.0 - lost / 100.0) / 1e9, lost))
}

fn iperf(from: &Instance, to: &str, args: &[&str]) -> Result<Value> {
    let mut command = from.machine.command("iperf3");
    command.args(["--client", to, "--port", &PORT.to_string(), "--time", SECONDS, "--json"]);
    let out = command.args(args).stdin(Stdio::null()).output()?;
    let result: Value = serde_json::from_slice(&out.stdout).context("iperf3 printed no JSON")?;
    ensure!(out.status.success(), "iperf3 to {to} {args:?} failed: {}", result["error"]);
    Ok(result)
}

fn report(path: &str, ways: &[Way], samples: &[Sample]) -> Result<Report> {
    let base = samples.get(1).context("no plain way")?;
    let mut table =
        vec![row(["", "TCP Gbit/s", "ratio", "UDP Gbit/s", "ratio", "lost", "lost at 100M"])];
    let mut results = serde_json::Map::new();
    for (way, sample) in ways.iter().zip(samples) {
        let (tcp, udp) = (sample.tcp / base.tcp, sample.udp / base.udp);
        table.push(row([
            way.name,
            &format!("{:.2}", sample.tcp),
            &format!("{tcp:.3}"),
            &format!("{:.2}", sample.udp),
            &format!("{udp:.3}"),
            &format!("{:.1} %", sample.lost),
            &format!("{:.2} %", sample.lost_slow),
        ]));
        results.insert(
            way.key.to_owned(),
            json!({
                "tcp": round(sample.tcp, 3), "tcp_ratio": round(tcp, 4),
                "udp": round(sample.udp, 3), "udp_ratio": round(udp, 4),
                "udp_lost_percent": round(sample.lost, 2),
                "udp_100m_lost_percent": round(sample.lost_slow, 2),
            }),
        );
    }
    if let Some(mesh) = results.get_mut("mesh") {
        mesh["path"] = path.into();
    }
    let notes = vec![
        format!(
            "laptop to home, {SECONDS} s each; ratios to the same cables without the mesh (two \
             veth pairs and the router's translation)"
        ),
        "UDP: datagrams of 1200 bytes sent as fast as possible, what arrived; lost at 100M: with \
         100 Mbit/s offered"
            .to_owned(),
        format!("the mesh's path at the end: {path}"),
    ];
    Ok(Report { unit: "Gbit/s", results: Value::Object(results), table, notes })
}
