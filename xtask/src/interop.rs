//! `cargo xtask interop`: third-party clients against a running deployment.

mod cache;
mod clients;
mod compare;
mod foreign;
mod house;
mod install;
mod matrix;
mod openclaw;
mod openpcc;
mod outcome;
mod stage;
mod steps;
mod tailscale;
mod tokens;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{build, model, traces::Traces, workspace};
use clients::Client;
use house::TestDeployment;
use install::Installed;
pub(crate) use outcome::Outcome;
use stage::ensure_possible;
pub(crate) use stage::is_possible;

/// The kinds of peers.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// OpenAI's and Ollama's clients on a laptop: chats, tools, images, embeddings, cancellation
    Models(Models),
    /// Matrix clients of two people, each on a device of their own: rooms, messages, pictures
    Matrix(matrix::Args),
    /// OpenClaw's client of its WebSocket on a laptop: list, chat, streamed reply, stop
    Openclaw(openclaw::Args),
    /// Stock Tailscale nodes that join a deployment: only the tests with them
    Tailscale(tailscale::Args),
    /// OpenPCC's client, relay, router and node with our confidential chain: only the tests with them
    Openpcc(openpcc::Args),
}

/// Arguments of `cargo xtask interop models`.
#[derive(Debug, clap::Args)]
pub(crate) struct Models {
    /// Run only the clients whose name contains this
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Ollama's program: its command becomes another client, and its server's answers are compared with Maru's field by
    /// field
    #[arg(long, value_name = "PATH")]
    ollama: Option<PathBuf>,
    /// Use the existing programs without building them
    #[arg(long)]
    no_build: bool,
    /// Record the answers of the real Ollama, for runs without it
    #[arg(long, requires = "ollama")]
    record: bool,
}

/// Runs it.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Models(args) => checked(|| built(args)),
        Command::Matrix(args) => checked(|| matrix::run(args)),
        Command::Openclaw(args) => checked(|| openclaw::run(args)),
        Command::Tailscale(args) => tailscale::run(args),
        Command::Openpcc(args) => openpcc::run(args),
    }
}

/// Runs clients, and fails if one of them does.
fn checked(run: impl FnOnce() -> Result<Outcome>) -> Result<()> {
    ensure_possible()?;
    let before = Traces::now()?;
    let outcome = run()?;
    if let Err(changes) = Traces::now()?.nothing_remains_since(&before) {
        println!("This host is not what it was before:\n{changes}");
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed.len());
    ensure!(outcome.failed.is_empty(), "clients failed:\n{}", outcome.failed.join("\n"));
    Ok(())
}

fn built(args: &Models) -> Result<Outcome> {
    if args.no_build {
        return models(args, &model::get()?);
    }
    let model = build::everything()?;
    build::stock_client()?;
    models(args, &model)
}

/// The part of `cargo xtask test`: every client but the command, whose Ollama takes long to compile, and the comparison
/// with what a real Ollama answered.
pub(crate) fn models_stage(model: &Path) -> Result<Outcome> {
    models(&Models { only: None, ollama: None, no_build: true, record: false }, model)
}

/// The part of `cargo xtask test`: OpenClaw's client, as it is pinned.
pub(crate) fn openclaw_stage(model: &Path) -> Result<Outcome> {
    openclaw::stage(model)
}

/// The part of `cargo xtask test`: every walk of two people.
pub(crate) fn matrix_stage(model: &Path) -> Result<Outcome> {
    matrix::of_turn(workspace::turn(&workspace::root())?, model)
}

fn models(args: &Models, model: &Path) -> Result<Outcome> {
    let installed = Installed::get("interop/models", "clients of OpenAI and Ollama")?;
    let wanted = |client: &&Client| match &args.only {
        Some(name) => client.name.contains(name.as_str()),
        None => true,
    };
    let all = clients::all(args.ollama.is_some());
    let chosen: Vec<_> = all.iter().filter(wanted).collect();
    let with_cache = args.only.as_ref().is_none_or(|name| cache::NAME.contains(name.as_str()));
    ensure!(
        with_cache || !chosen.is_empty(),
        "there is no such client: {}, {}",
        clients::names(&all),
        cache::NAME
    );
    let program = args.ollama.as_deref().map(std::path::absolute).transpose()?;
    let house = TestDeployment::start(&installed, model, program.as_deref())?;
    let mut outcome = Outcome::default();
    for client in chosen {
        outcome.add(client.run(&house).with_context(|| client.name.to_owned())?);
    }
    if args.only.is_none() {
        outcome.add(compare::run(&house, args.record)?);
    }
    if with_cache {
        outcome.add(cache::run(&house)?);
    }
    house.stop()?;
    Ok(outcome)
}
