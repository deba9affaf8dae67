//! The gateway, compared with other gateways before the same model server, which answers at once.
//!
//! Callers, gateways and the server share the machine's processors, so only figures of the same run can be compared.

mod ask;
mod load;
mod peer;
mod place;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::{
    numbers::{median, round},
    report::{Report, row},
};
use crate::{progress::Step, stop};
pub(super) use ask::Ask;
pub(super) use load::{EXAMPLE, Load, PORT};
use peer::Size;
pub(super) use peer::{Kind, Peer};

/// Rounds of requests one after the other, and requests of each.
const ROUNDS: usize = 7;
const SEQUENTIAL: u32 = 25;
/// Connections at once.
const PARALLEL: u32 = 16;
/// Requests on them of a peer that takes thousands in a second, and of one that does not.
const MANY: u32 = 60_000;
const FEW: u32 = 300;
/// Requests under the seal: for 10 seconds, as many in each as are aimed at.
const SEALED: u32 = 30_000;
/// Streams whose tokens come one in 20 ms, all at once.
const STREAMS: u32 = 1000;

/// Measures every peer.
pub(super) fn run(named: &[Kind]) -> Result<Report> {
    let load = Load::start()?;
    let mut peers = Vec::new();
    for kind in Kind::chosen(named) {
        let step = Step::new(&format!("starting {kind}"));
        peers.push(Peer::start(kind, &load)?);
        step.done(&format!("{kind} runs"));
    }
    let mut results: Vec<Map<String, Value>> = peers.iter().map(Peer::start_figures).collect();
    one_by_one(&load, &peers, &mut results)?;
    for (peer, figures) in peers.iter().zip(&mut results) {
        stop::check()?;
        let step = Step::new(&format!("{}: {PARALLEL} at once", peer.kind));
        at_once(&load, peer, figures)?;
        if peer.size == Size::Large {
            streams(&load, peer, figures)?;
        }
        step.done(&format!("{}: {PARALLEL} at once", peer.kind));
    }
    report(&peers, results)
}

/// Requests one after the other, the peers in turn; what each adds to asking the server itself.
fn one_by_one(load: &Load, peers: &[Peer], results: &mut [Map<String, Value>]) -> Result<()> {
    for (name, streams) in [("whole", false), ("streamed", true)] {
        let mut samples = vec![Vec::new(); peers.len()];
        for number in 0..=ROUNDS {
            stop::check()?;
            let step = Step::new(&format!("{name}, one by one: round {number} of {ROUNDS}"));
            for ((peer, samples), figures) in peers.iter().zip(&mut samples).zip(&mut *results) {
                let asked = load.ask(&Ask::new(peer, SEQUENTIAL).streamed(streams))?;
                fail(figures, &asked);
                // The first round warms up.
                if number > 0 && answers(&asked) {
                    samples.push(asked["total_us"]["p50"].as_f64().context("no time")? / 1e3);
                }
            }
            step.done(&format!("{name}, one by one: round {number} of {ROUNDS}"));
        }
        let direct = samples.first().cloned().unwrap_or_default();
        for (samples, figures) in samples.into_iter().zip(&mut *results) {
            if samples.is_empty() {
                continue;
            }
            let added = samples.iter().zip(&direct).map(|(own, direct)| own - direct).collect();
            figures.insert(format!("{name}_p50_ms"), round(median(samples), 3).into());
            figures.insert(format!("{name}_added_p50_ms"), round(median(added), 3).into());
        }
    }
    Ok(())
}

/// How many a peer takes in a second, and what each costs it.
fn at_once(load: &Load, peer: &Peer, figures: &mut Map<String, Value>) -> Result<()> {
    let requests = match (peer.kind, peer.size) {
        (Kind::Sealed, _) => SEALED,
        (_, Size::Large) => MANY,
        (_, Size::Small) => FEW,
    };
    for (name, streams) in [("whole", false), ("streamed", true)] {
        if peer.kind == Kind::Sealed && !streams {
            continue;
        }
        let before = peer.processor_ms()?;
        let asked = load.ask(&Ask::new(peer, requests).streamed(streams).parallel(PARALLEL))?;
        let spent = peer.processor_ms()? - before;
        fail(figures, &asked);
        if !answers(&asked) {
            continue;
        }
        let count = asked["requests"].as_f64().context("no count")?;
        let seconds = asked["seconds"].as_f64().context("no time")?;
        figures.insert(format!("{name}_per_second"), round(count / seconds, 0).into());
        figures.insert(format!("{name}_cpu_ms"), round(spent / count, 3).into());
        figures.insert(format!("{name}_parallel_us"), asked["total_us"].clone());
    }
    Ok(())
}

/// Many slow streams at once.
fn streams(load: &Load, peer: &Peer, figures: &mut Map<String, Value>) -> Result<()> {
    let ask = Ask::new(peer, STREAMS).model("paced").streamed(true).parallel(STREAMS);
    let asked = load.ask(&ask)?;
    fail(figures, &asked);
    figures.insert("streams_way_us".to_owned(), asked["way_us"].clone());
    if let Some(kib) = peer.peak_kib()? {
        figures.insert("streams_peak_kib".to_owned(), kib.into());
    }
    Ok(())
}

/// Whether anything was answered; how quickly a peer refuses is no figure of it.
fn answers(asked: &Value) -> bool {
    asked["failed"].as_u64() < asked["requests"].as_u64()
}

/// Counts what was not answered whole.
fn fail(figures: &mut Map<String, Value>, asked: &Value) {
    let before = figures.get("failed").and_then(Value::as_u64).unwrap_or(0);
    let now = asked["failed"].as_u64().unwrap_or(0);
    figures.insert("failed".to_owned(), (before + now).into());
}

fn report(peers: &[Peer], results: Vec<Map<String, Value>>) -> Result<Report> {
    let columns = [
        ("added ms", "whole_added_p50_ms", 1.0),
        ("streamed", "streamed_added_p50_ms", 1.0),
        ("per s", "whole_per_second", 1.0),
        ("streamed/s", "streamed_per_second", 1.0),
        ("CPU ms", "whole_cpu_ms", 1.0),
        ("streamed", "streamed_cpu_ms", 1.0),
        ("token p99 ms", "streams_way_us.p99", 1e3),
        ("failed", "failed", 1.0),
        ("idle MiB", "idle_kib", 1024.0),
        ("1000 MiB", "streams_peak_kib", 1024.0),
        ("start s", "start_s", 1.0),
    ];
    let mut table = vec![
        std::iter::once("")
            .chain(columns.iter().map(|column| column.0))
            .map(str::to_owned)
            .collect(),
    ];
    let mut all = Vec::new();
    for (peer, figures) in peers.iter().zip(results) {
        let mut line = row([&peer.kind.to_string()]);
        let figures = Value::Object(figures);
        line.extend(columns.iter().map(|(_, key, unit)| {
            let pointer = format!("/{}", key.replace('.', "/"));
            let value = figures.pointer(&pointer).and_then(Value::as_f64);
            value.map_or("-".to_owned(), |value| round(value / unit, 3).to_string())
        }));
        table.push(line);
        all.push(
            json!({ "peer": peer.kind.to_string(), "version": peer.version, "figures": figures }),
        );
    }
    let notes = vec![
        format!(
            "added: median of {ROUNDS} rounds, each the median of {SEQUENTIAL} requests one after the other, less \
             that of asking the server itself in the same round"
        ),
        format!("per s and CPU (of the peer alone, for one request): {PARALLEL} requests at once"),
        format!(
            "token p99: what the way adds up to for one token of {STREAMS} streams at once, each with a token in \
             20 ms; failed: what was not answered whole"
        ),
    ];
    Ok(Report { unit: "as named", results: Value::Array(all), table, notes })
}
