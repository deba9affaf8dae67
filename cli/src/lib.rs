//! maru: the one command that people type, and the supervisor behind `maru up`.
//!
//! `maru up` starts the services of the table in the crate `services`: some as child processes, others in Podman, each under
//! a user of its own. The other commands talk to the coordinator (at its admin socket, or over HTTPS with an API key), the
//! agent's local API, the gateway's socket for root and a running `maru up`.
#![allow(clippy::disallowed_methods, reason = "a command is a shell: it reads the clock")]

use std::process::ExitCode;

use messages::Language;

use crate::args::{Cli, Command};

mod api_key;
mod app;
pub mod archive;
mod args;
mod audit;
mod backup;
mod chat;
mod client;
mod command_line;
mod complete;
mod confidential;
mod confine;
mod coordinator;
pub mod decoders;
mod device;
mod doctor;
mod duration;
mod edited_file;
mod error;
mod exits;
mod finding;
mod fingerprint;
mod gateway;
mod help;
mod invite;
mod join;
mod key;
mod log;
mod machine_key;
mod metrics;
mod model;
mod netcheck;
mod node_id;
mod notices;
mod number;
mod ollama;
mod openclaw;
mod output;
mod passphrase;
mod pause;
mod ping;
mod policy;
mod prepare;
mod problem;
mod qr;
mod reach;
mod rooms;
mod route;
mod secret_file;
mod setup;
mod status;
mod sudo;
mod trust;
mod units;
mod up;
mod upgrade;
mod usage;
mod user;
mod watch;
mod wireguard;

pub use up::control;

/// The command line with its help in a language, for the manual.
#[must_use]
pub fn command_in(language: Language) -> clap::Command {
    help::in_language(language)
}

/// Runs the command that was typed, in the language of the environment.
pub fn main() -> ExitCode {
    Language::of_environment(|name| std::env::var(name).ok()).make_current();
    error::finish(run(command_line::parse()))
}

/// An error is one sentence that says what is wrong and what to do next.
fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command(cli))
}

async fn command(cli: Cli) -> anyhow::Result<ExitCode> {
    let root = std::path::absolute(&cli.root)?;
    chassis::root::check(&root)?;
    match cli.command {
        Command::Setup(args) => setup::run(args, &root).await,
        Command::Up(args) => up::run(args, &root).await,
        Command::Upgrade(args) => upgrade::run(args, &root).await,
        Command::Status(args) => status::run(args, &root).await,
        Command::Netcheck(args) => netcheck::run(args, &root).await,
        Command::Ping(args) => ping::run(args, &root).await,
        Command::Whois(args) => ping::whois(args, &root).await,
        Command::Pause(args) => pause::pause(args, &root).await,
        Command::Resume(args) => pause::resume(args, &root).await,
        Command::Doctor(args) => doctor::run(args, &root).await,
        Command::Audit(args) => audit::run(args, &root).await,
        Command::Join(args) => join::join(args, &root).await,
        Command::Leave => join::leave(&root).await,
        Command::Invite { args, at } => invite::run(args, &at.client(&root)?).await,
        Command::Device { command, at } => device::run(command, &at.client(&root)?).await,
        Command::Key { command, at } => key::run(command, &at.client(&root)?).await,
        Command::ApiKey { command, at } => api_key::run(command, &at.client(&root)?).await,
        Command::User { command, at } => user::run(command, &at.client(&root)?, &root).await,
        Command::App { command } => app::run(command, &root).await,
        Command::Model { command } => model::run(command, &root).await,
        Command::Confidential { command } => confidential::run(command, &root),
        Command::Policy { command, at } => policy::run(command, &at.client(&root)?).await,
        Command::Route { command, at } => route::run(command, &at.client(&root)?).await,
        Command::Wireguard { command, at } => {
            wireguard::run(command, &at.client(&root)?, &root).await
        }
        Command::Backup(args) => backup::run(&args, &root),
        Command::Restore(args) => backup::restore::run(&args, &root),
        Command::Passphrase { command } => passphrase::run(command, &root),
        Command::Log { args, at } => match args.of_daemons() {
            Some(selection) => log::daemons::run(selection, &root).await,
            None => log::run(args, &at.client(&root)?).await,
        },
        Command::Usage(args) => usage::run(args, &root).await,
        Command::Metrics(args) => metrics::run(&args, &root).await,
        Command::Chat(args) => chat::run(args, &root).await,
        Command::Rooms { command } => rooms::run(command, &root).await,
        Command::Trust(args) => trust::run(args, &root).await,
        Command::Completions(args) => complete::run(&args, help::command()),
        Command::Prepare => prepare::run(&root),
        Command::Watch => watch::run(&root).await,
        Command::FinishUpgrade => upgrade::finish(&root).await,
        Command::Notices => notices::run(&root).await,
        Command::Confine(args) => Err(confine::run(&args)),
    }
}
