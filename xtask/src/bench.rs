//! `cargo xtask bench`: what Maru costs, measured beside what it is compared with.
//!
//! A measurement asserts nothing about time: it prints what it saw, and how busy the machine was.

mod chat;
mod confidential;
mod gateway;
mod memory;
mod process;
mod sealed;
mod tunnel;

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use lab::Deployment;
use serde_json::{Value, json};

use crate::{build, model, packages, progress::Step};

/// Of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum)]
    what: What,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure the binaries that lie there already
    #[arg(long)]
    no_build: bool,
    /// Whom the gateway is compared with [default: those that need no download]
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<gateway::Kind>,
    /// Measure OpenPCC's own chain as well, which is built with Go; needs root
    #[arg(long)]
    stock: bool,
}

/// What there is to measure.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The whole chain against the same model asked directly
    Chat,
    /// The confidential chain
    Confidential,
    /// Sealing and opening, for both suites
    Sealed,
    /// Throughput of the mesh beside a plain veth pair
    Tunnel,
    /// Resident memory of each daemon
    Memory,
    /// What the gateway adds, beside other gateways
    Gateway,
}

/// What came of a measurement.
#[derive(Debug)]
struct Report {
    /// What the numbers count.
    unit: &'static str,
    /// The numbers.
    results: Value,
    /// The same for people; the first row names the columns.
    table: Vec<Vec<String>>,
    /// What must be known to read them.
    notes: Vec<String>,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        args.peers.is_empty() || matches!(args.what, What::Gateway),
        "--peers is for `cargo xtask bench gateway`"
    );
    ensure!(
        !args.stock || matches!(args.what, What::Confidential),
        "--stock is for `cargo xtask bench confidential`"
    );
    let alone = matches!(args.what, What::Sealed | What::Confidential) && !args.stock;
    ensure!(alone || rustix::process::geteuid().is_root(), "the lab's machines need root");
    if matches!(args.what, What::Tunnel) {
        packages::for_testing()?;
    } else {
        packages::for_running()?;
    }
    if !args.no_build {
        build::programs()?;
        match args.what {
            What::Sealed => build::example(sealed::EXAMPLE)?,
            What::Gateway => build::example(gateway::EXAMPLE)?,
            What::Confidential => {
                build::attester()?;
                build::example(confidential::EXAMPLE)?;
            }
            What::Chat | What::Memory | What::Tunnel => {}
        }
    }
    let before = load()?;
    let report = match args.what {
        What::Chat => chat::run()?,
        What::Confidential => confidential::run(args.stock)?,
        What::Gateway => gateway::run(&args.peers)?,
        What::Memory => memory::run()?,
        What::Sealed => sealed::run()?,
        What::Tunnel => tunnel::run()?,
    };
    let name = args.what.to_possible_value().context("a bench has a name")?;
    let load = [before, load()?];
    if args.json {
        println!(
            "{}",
            json!({
                "bench": name.get_name(), "unit": report.unit, "results": report.results,
                "notes": report.notes, "load_average": load, "processors": processors(),
            })
        );
        return Ok(());
    }
    print!("{}", aligned(&report.table));
    for note in &report.notes {
        println!("{note}");
    }
    let [before, after] = load;
    println!("{} processors; load average {before} before, {after} after", processors());
    Ok(())
}

/// Starts the appliance on a fresh root, with the small model.
fn deployment() -> Result<Deployment> {
    let model = model::get()?;
    let step = Step::new("home: maru up");
    let deployment = Deployment::start_with_model(&model, &[])?;
    step.done("home: the appliance runs");
    Ok(deployment)
}

/// Load average of the last minute.
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("no /proc/loadavg")?;
    let first = text.split(' ').next().context("no load average")?;
    Ok(first.parse()?)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one; not a number if there are none.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To so many decimals, for JSON.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// A row of a table.
fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Columns under each other: the first to the left, the others to the right.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let length =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |c| c.chars().count());
    let widths: Vec<usize> = (0..columns)
        .map(|column| table.iter().map(|row| length(row, column)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in table {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => text.push_str(&format!("{cell:<width$}")),
                _ => text.push_str(&format!("  {cell:>width$}")),
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let table = [row(["", "ms"]), row(["direct", "7.5"]), row(["chain", "10.25"])];
        assert_eq!(aligned(&table), "           ms\ndirect    7.5\nchain   10.25\n");
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
