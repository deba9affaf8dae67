//! `cargo xtask interop`: clients that we did not write, at a house that runs.

mod clients;
mod compare;
mod foreign;
mod house;
mod install;
mod openpcc;
mod outcome;
mod stage;
mod tailscale;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{build, model, traces::Traces};
use clients::Client;
use house::TestDeployment;
use install::Installed;
pub(crate) use outcome::Outcome;
use stage::ensure_possible;
pub(crate) use stage::is_possible;

/// Which peers are asked.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// OpenAI's and Ollama's clients ask the AI from a laptop: chats, tools, images, vectors, cancelling
    Models(Models),
    /// Stock Tailscale nodes join a house: its tests, and no others
    Tailscale(tailscale::Args),
    /// OpenPCC's client, relay, router and node with our confidential chain: its tests, and no others
    Openpcc(openpcc::Args),
}

/// Of `cargo xtask interop models`.
#[derive(Debug, clap::Args)]
pub(crate) struct Models {
    /// Run only the clients whose name holds this
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// An Ollama: its command is a client too, and the same requests go to its server and to Maru, compared field by
    /// field
    #[arg(long, value_name = "PATH")]
    ollama: Option<PathBuf>,
    /// Take the programs as they were built
    #[arg(long)]
    no_build: bool,
    /// Write down what the real Ollama answers, for runs without one
    #[arg(long, requires = "ollama")]
    record: bool,
}

/// Runs it.
pub(crate) fn run(command: &Command) -> Result<()> {
    let args = match command {
        Command::Models(args) => args,
        Command::Tailscale(args) => return tailscale::run(args),
        Command::Openpcc(args) => return openpcc::run(args),
    };
    ensure_possible()?;
    let model = if args.no_build { model::get()? } else { build::everything()? };
    if !args.no_build {
        build::stock_client()?;
    }
    let before = Traces::now()?;
    let outcome = models(args, &model)?;
    if let Err(changes) = Traces::now()?.nothing_remains_since(&before) {
        println!("This host is not what it was before:\n{changes}");
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed.len());
    ensure!(outcome.failed.is_empty(), "clients failed:\n{}", outcome.failed.join("\n"));
    Ok(())
}

/// The part of `cargo xtask test`: every client but the command, whose Ollama takes long to compile, and the comparison
/// with what a real Ollama answered.
pub(crate) fn stage(model: &Path) -> Result<Outcome> {
    models(&Models { only: None, ollama: None, no_build: true, record: false }, model)
}

fn models(args: &Models, model: &Path) -> Result<Outcome> {
    let installed = Installed::get()?;
    let wanted = |client: &&Client| match &args.only {
        Some(name) => client.name.contains(name.as_str()),
        None => true,
    };
    let all = clients::all(args.ollama.is_some());
    let chosen: Vec<_> = all.iter().filter(wanted).collect();
    ensure!(!chosen.is_empty(), "there is no such client: {}", clients::names(&all));
    let program = args.ollama.as_deref().map(std::path::absolute).transpose()?;
    let house = TestDeployment::start(&installed, model, program.as_deref())?;
    let mut outcome = Outcome::default();
    for client in chosen {
        outcome.add(client.run(&house).with_context(|| client.name.to_owned())?);
    }
    if args.only.is_none() {
        outcome.add(compare::run(&house, args.record)?);
    }
    house.stop()?;
    Ok(outcome)
}
