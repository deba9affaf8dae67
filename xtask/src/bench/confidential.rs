//! The confidential chain on loopback, compared on request with OpenPCC's own.
//!
//! A model server whose reply is fixed is asked directly and through each chain, in turn; caller, servers and nodes
//! share the machine's processors.

mod chain;
mod node;
mod ours;
mod plan;
mod stock;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::{
    numbers::round,
    report::{Report, row},
};
use crate::{progress::Step, stop};
use chain::Chain;
pub(super) use plan::EXAMPLE;
use plan::{CHUNKS, LONG, REQUESTS, SEQUENTIAL};

/// A figure: its name in the table, its path in the results, the divisor for its unit, and its target.
type Row = (&'static str, &'static str, f64, &'static str);

const ROWS: [Row; 9] = [
    ("first token, added p50 ms", "/first_added_us/p50", 1e3, "x-wing 3, p-256 5"),
    ("first token, added p99 ms", "/first_added_us/p99", 1e3, ""),
    ("requests a second, 8 at once", "/per_second", 1.0, "200"),
    ("failed requests, one by one", "/failed", 1.0, "0"),
    ("failed requests, 8 at once", "/failed_parallel", 1.0, "0"),
    ("a piece of a reply, per process µs", "/chunk_and_hop_us", 1.0, "10"),
    ("evidence verified, p50 ms", "/verify_us/p50", 1e3, "x-wing 5, p-256 1"),
    ("evidence verified, p99 ms", "/verify_us/p99", 1e3, ""),
    ("a cached verification, µs", "/cached_us", 1.0, "100"),
];

/// Measures; `beside_stock` also measures OpenPCC's own chain.
pub(super) fn run(beside_stock: bool) -> Result<Report> {
    let step = Step::new("the chain starts");
    let chain = Chain::start()?;
    step.done("the chain runs");
    let mut columns: Vec<(&str, Value)> = Vec::new();
    for model in chain.models() {
        stop::check()?;
        let step = Step::new(&format!("{model}: asked"));
        columns.push((model, example("measure", &chain.measure(model))?));
        step.done(&format!("{model}: asked"));
    }
    let verified = example("verify", &chain.verify())?;
    for (model, figures) in &mut columns {
        figures["verify_us"] = verified[*model].clone();
        figures["cached_us"] = verified[format!("{model}_cached")].clone();
    }
    let mut memory = chain.memory()?;
    if beside_stock {
        drop(chain);
        let step = Step::new("OpenPCC's chain: asked");
        let (figures, servers) = stock::measure()?;
        columns.push(("stock", figures));
        memory.extend(servers);
        step.done("OpenPCC's chain: asked");
    }
    Ok(report(&columns, &memory))
}

/// Runs the example with what it reads.
fn example(what: &str, wanted: &Value) -> Result<Value> {
    let program = lab::binary(&format!("examples/{EXAMPLE}"))?;
    let mut command = Command::new(&program);
    command.arg(what).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    child.stdin.take().context("no pipe")?.write_all(wanted.to_string().as_bytes())?;
    let out = child.wait_with_output()?;
    ensure!(out.status.success(), "{} {what} failed ({})", program.display(), out.status);
    serde_json::from_slice(&out.stdout).context("the example's output")
}

fn report(columns: &[(&str, Value)], memory: &[(String, u64)]) -> Report {
    let names = columns.iter().map(|(name, _)| (*name).to_owned());
    let mut table: Vec<Vec<String>> =
        vec![[String::new()].into_iter().chain(names).chain(["goal".to_owned()]).collect()];
    for (what, pointer, unit, goal) in ROWS {
        let cell = |(_, figures): &(&str, Value)| {
            let value = figures.pointer(pointer).and_then(Value::as_f64);
            value.map_or("-".to_owned(), |value| round(value / unit, 3).to_string())
        };
        let cells = columns.iter().map(cell);
        table.push([what.to_owned()].into_iter().chain(cells).chain([goal.to_owned()]).collect());
    }
    table.push(against_stock(columns));
    for (name, kib) in memory {
        let cell = round(f64::from(u32::try_from(*kib).unwrap_or(u32::MAX)) / 1024.0, 1);
        let mut line = row([&format!("resident MiB: {name}"), &cell.to_string()]);
        line.resize(columns.len() + 1, String::new());
        line.push("15".to_owned());
        table.push(line);
    }
    let memory: Map<String, Value> =
        memory.iter().map(|(name, kib)| (name.clone(), (*kib).into())).collect();
    let chains: Vec<Value> = columns
        .iter()
        .map(|(name, figures)| json!({ "chain": name, "figures": figures }))
        .collect();
    let notes = vec![
        format!(
            "added: {SEQUENTIAL} requests each way in turn, each less the one before it that asked the model server \
             itself; three candidates that were verified before; at once: {REQUESTS} requests"
        ),
        format!(
            "a piece: what a reply of {CHUNKS} pieces, which the model server writes one by one, takes longer than \
             directly, for each piece and each of the five processes that it passes; median of {LONG}"
        ),
        "resident: after all that, the largest of each kind".to_owned(),
        "stock: its node answers by itself, so that nothing is taken off, and is one alone"
            .to_owned(),
    ];
    Report {
        unit: "as named",
        results: json!({ "chains": chains, "resident_kib": memory }),
        table,
        notes,
    }
}

/// The first token of each chain as a part of the stock one's.
fn against_stock(columns: &[(&str, Value)]) -> Vec<String> {
    let first = |figures: &Value| figures.pointer("/first_added_us/p50").and_then(Value::as_f64);
    let stock =
        columns.iter().find(|(name, _)| *name == "stock").and_then(|(_, figures)| first(figures));
    let cell = |(_, figures): &(&str, Value)| match (first(figures), stock) {
        (Some(own), Some(stock)) => round(own / stock, 2).to_string(),
        _ => "-".to_owned(),
    };
    let cells = columns.iter().map(cell);
    ["first token, part of stock's".to_owned()]
        .into_iter()
        .chain(cells)
        .chain(["0.7".to_owned()])
        .collect()
}
