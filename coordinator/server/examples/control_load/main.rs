//! Load for `cargo xtask bench coordinator`: agents that register, watch their maps and tell new endpoints, as stock clients
//! do: Noise, HTTP/2, zstd. Each connects from a loopback address of its own. It runs on one thread: what it costs is part of
//! every time.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the result is what it prints")]

mod agent;
mod coordinator;
mod crowd;
mod life;
mod measure;
mod network_map;
mod numbers;
mod policy;

use std::{error::Error, path::PathBuf};

use clap::{Parser, ValueEnum};

use self::{coordinator::Target, crowd::Crowd, life::Plan};

/// What people see when this fails.
type Failure = Box<dyn Error + Send + Sync>;

/// Measures a coordinator, and prints one JSON object.
#[derive(Debug, Parser)]
struct Args {
    /// Maru's coordinator, which is started in a folder of its own
    #[arg(long, required_unless_present = "url", conflicts_with = "url")]
    program: Option<PathBuf>,
    /// URL of another coordinator that runs, whose policy lets all see all
    #[arg(long, requires = "key")]
    url: Option<http::Uri>,
    /// Reusable key with which agents join that one
    #[arg(long, requires = "url")]
    key: Option<String>,
    /// Its process, whose processor time and memory are read
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Agents, besides the home of the star
    #[arg(long, default_value_t = 300)]
    agents: usize,
    /// Who sees whom
    #[arg(long, value_enum, default_value_t = Shape::Mesh)]
    shape: Shape,
    /// Seconds at rest
    #[arg(long, default_value_t = 60)]
    rest_seconds: u64,
    /// Instead of measuring single changes, let the network live for so many seconds, and compare memory and database at
    /// the end with those after the first tenth
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    life: Option<u64>,
    /// What happens in that time: the same for the same number
    #[arg(long, requires = "life", default_value_t = 28)]
    seed: u64,
}

/// Who sees whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// Four devices a person: each sees those of its person, and the home
    Star,
    /// All see all
    Mesh,
}

impl Shape {
    /// Devices of a person in the star.
    const EACH: usize = 4;

    /// How many others an agent sees, and is seen by, of so many in all. In a star the home is the last.
    fn seen(self, index: usize, count: usize) -> usize {
        let (others, devices) = (count - 1, count - 1);
        match self {
            Self::Mesh => others,
            Self::Star if index == devices => others,
            Self::Star => {
                let first = index / Self::EACH * Self::EACH;
                Self::EACH.min(devices - first)
            }
        }
    }

    /// Whether of so many in all one sees another.
    fn sees(self, one: usize, other: usize, count: usize) -> bool {
        let home = count - 1;
        match self {
            _ if one == other => false,
            Self::Mesh => true,
            Self::Star => [one, other].contains(&home) || one / Self::EACH == other / Self::EACH,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    chassis::process::raise_file_limit();
    let args = Args::parse();
    if args.agents < 2 {
        return Err("there is nothing to see with fewer than two agents".into());
    }
    let mut target = match (&args.program, &args.url, &args.key) {
        (Some(program), ..) => Target::start(program, args.shape, args.agents).await?,
        (None, Some(url), Some(key)) => Target::named(url, key, args.pid).await?,
        (None, ..) => return Err("no coordinator".into()),
    };
    let mut crowd = Crowd::new(&target, args.shape, args.agents).await?;
    let figures = match args.life {
        Some(seconds) => life::run(&mut target, crowd, Plan { seconds, seed: args.seed }).await?,
        None => measure::all(&mut target, &mut crowd, args.rest_seconds).await?,
    };
    println!("{figures}");
    Ok(())
}
