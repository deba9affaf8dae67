//! The coordinator among many agents: what a change costs it, and when everybody is told.
//!
//! Coordinator and agents share the machine's processors, so only figures of the same machine can be compared.

mod life;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    numbers::{median, round},
    report::{Outcome, Report, row},
};
use crate::{progress::Step, stop};

/// The example of the coordinator that is the agents.
pub(super) const EXAMPLE: &str = "control_load";
/// The program that is measured.
pub(super) const PROGRAMS: [&str; 1] = ["maru-coordinator"];
/// Runs of Maru's coordinator, of which the medians are printed.
const ROUNDS: u32 = 5;
/// The figures, as the example names them and as people read them.
const FIGURES: [(&str, &str); 10] = [
    ("/update/processor_ms", "endpoint update: processor time, ms"),
    ("/update/p50_ms", "until the last watcher is told, p50 ms"),
    ("/update/p99_ms", "p99 ms"),
    ("/policy/p50_ms", "policy set until the last agent has its filter, ms"),
    ("/compile/p50_ms", "200 rules compiled for 1,000 nodes on one thread, ms"),
    ("/reconnected_s", "all connected again after kill -9, s"),
    ("/joined_s", "all registered, and each map whole, s"),
    ("/registered_per_s", "registrations a second, while nobody watches"),
    ("/private_kib_per_agent", "private memory an agent, KiB"),
    ("/rest_percent", "processor time at rest for 60 s, % of a core"),
];

/// Who sees whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Shape {
    /// Four devices a person: each sees those of its person, and the home
    Star,
    /// All see all
    #[default]
    Mesh,
}

/// The arguments of this bench.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Args {
    /// Agents of the coordinator [default: 300 of a mesh, 1000 of a star]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(super) agents: Option<u32>,
    /// Who sees whom at the coordinator [default: mesh]
    #[arg(long, value_enum)]
    pub(super) shape: Option<Shape>,
    /// Measure the coordinator at this URL (http://) instead of Maru's; its policy must let all see all
    #[arg(long, value_name = "URL", requires = "key", conflicts_with = "shape")]
    pub(super) url: Option<String>,
    /// Reusable pre-auth key of that coordinator, whose devices need no approval
    #[arg(long, value_name = "KEY", requires = "url")]
    pub(super) key: Option<String>,
    /// Process of that coordinator, to read its processor time and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pub(super) pid: Option<u32>,
    /// Instead of measuring single changes, let the network live so many seconds: nodes roam, join and leave, keys expire, the
    /// policy is replaced [default: 600]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "600",
        value_parser = clap::value_parser!(u32).range(10..=86_400), conflicts_with = "rounds")]
    pub(super) life: Option<u32>,
    /// What happens in that time, the same for the same number [default: 28]
    #[arg(long, value_name = "N", requires = "life")]
    pub(super) seed: Option<u64>,
}

/// Measures what is asked for.
pub(super) fn run(args: &Args, rounds: Option<u32>) -> Result<Outcome> {
    let shape = args.shape.unwrap_or_default();
    let Some(seconds) = args.life else { return Ok(changes(args, shape, rounds)?.into()) };
    let step = Step::new(&format!("the network lives {seconds} seconds"));
    let result = measure(args, shape)?;
    step.done(&format!("the network has lived {seconds} seconds"));
    Ok(life::outcome(result))
}

/// Measures single changes in `rounds`.
fn changes(args: &Args, shape: Shape, rounds: Option<u32>) -> Result<Report> {
    let rounds = if args.url.is_some() { 1 } else { rounds.unwrap_or(ROUNDS) };
    let results = (1..=rounds).map(|round| {
        stop::check()?;
        let step = Step::new(&format!("round {round} of {rounds}: agents join and move"));
        let result = measure(args, shape)?;
        step.done(&format!("round {round} of {rounds} is measured"));
        Ok(result)
    });
    let results = results.collect::<Result<Vec<Value>>>()?;
    let mut table = vec![row(["", "median"])];
    for (figure, what) in FIGURES {
        let values = results.iter().filter_map(|result| result.pointer(figure)?.as_f64()).collect();
        let middle = median(values);
        let cell = if middle.is_nan() { "-".to_owned() } else { round(middle, 2).to_string() };
        table.push(row([what, &cell]));
    }
    let count = results.first().map_or(&Value::Null, |result| &result["agents"]);
    let mut notes = vec![
        format!("{count} agents, {rounds} rounds; they run on one thread of the same processors"),
        "each update is of another agent, within its first ten changes".to_owned(),
    ];
    notes.extend(results.first().and_then(life::left_out));
    Ok(Report { unit: "as named", results: json!({ "rounds": results }), table, notes })
}

fn measure(args: &Args, shape: Shape) -> Result<Value> {
    let mut load = Command::new(lab::binary(&format!("examples/{EXAMPLE}"))?);
    match (&args.url, &args.key) {
        (Some(url), Some(key)) => {
            load.args(["--url", url, "--key", key]);
            load.args(args.pid.map(|pid| format!("--pid={pid}")));
        }
        _ => {
            load.arg("--program").arg(lab::binary("maru-coordinator")?);
        }
    }
    let (name, usual) = match shape {
        Shape::Star => ("star", 1000),
        Shape::Mesh => ("mesh", 300),
    };
    load.args(["--shape", name, "--agents", &args.agents.unwrap_or(usual).to_string()]);
    load.args(args.life.map(|seconds| format!("--life={seconds}")));
    load.args(args.seed.map(|seed| format!("--seed={seed}")));
    let out = load.output().context("cannot run the agents")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "the agents failed: {}", said.trim());
    serde_json::from_slice(&out.stdout).context("the agents' output")
}
