//! `maru model …`: the models of this machine.

use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use messages::{Message, message};

use crate::{
    client::Client,
    output::{self, OutputArgs},
    units::{self, engines},
    up::{
        control::{USE_MODEL, UseModel},
        progress::Spinner,
    },
};

mod args;
pub(crate) mod disk;
pub(crate) mod download;
pub(crate) mod folder;
mod memory;
pub(crate) mod ollama;
mod part;
mod pull;
pub(crate) mod size;
mod source;
#[cfg(test)]
mod tests;

use args::PullArgs;
use folder::{Entry, Folder};
use size::size;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models of this machine
    List(OutputArgs),
    /// Get a model from a URL, a file, or a folder of Ollama's (~/.ollama/models)
    Pull(PullArgs),
    /// Choose the model that answers; with a spare engine chats go on while the engines change to it
    Use(NameArgs),
    /// Remove a model that is not in use
    Remove(NameArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NameArgs {
    /// Its name, as `maru model list` shows it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: ModelCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let folder = Folder::of(root);
    match command {
        ModelCommand::List(args) => list(&folder, args)?,
        ModelCommand::Pull(args) => {
            let entry = pull::run(&folder, &args).await?;
            let sha256 = entry.sha256.as_deref().unwrap_or_default();
            let text =
                message!("model-pulled", name = entry.name, size = size(entry.bytes), sha256);
            output::done(args.output.output, &entry, &text)?;
        }
        ModelCommand::Use(args) => {
            let (entry, text) = choose(&folder, root, &args.name).await?;
            output::done(args.output.output, &entry, &text)?;
        }
        ModelCommand::Remove(args) => {
            let entry = folder.remove(&args.name)?;
            output::done(
                args.output.output,
                &entry,
                &message!("model-removed", name = entry.name),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies a file into the folder of models.
pub(crate) async fn copy(root: &Path, file: &Path) -> anyhow::Result<()> {
    let output = OutputArgs { output: output::Format::Table };
    let source = file.display().to_string();
    let args = PullArgs { source, name: None, model: None, sha256: None, output };
    pull::run(&Folder::of(root), &args).await.map(drop)
}

/// Chooses a model: now if the services run, else for their next start. The message says which.
async fn choose(folder: &Folder, root: &Path, name: &str) -> anyhow::Result<(Entry, Message)> {
    let supervisor = Client::supervisor(root).await;
    if supervisor.is_none() && !units::are_active(root).await {
        return Ok((folder.choose(name)?, message!("model-used-later", name)));
    }
    let entry = folder.usable(name)?;
    folder.fits_beside(&entry)?;
    let path = folder.path(&entry)?;
    let step = Spinner::new();
    step.now(message!("changing-engines"));
    match supervisor {
        Some(supervisor) => drop(supervisor.call(&USE_MODEL, &[], &UseModel { path }).await?),
        None => engines::use_model(root, &path).await?,
    }
    drop(step);
    Ok((Entry { in_use: true, ..entry }, message!("model-used-now", name)))
}

fn list(folder: &Folder, args: OutputArgs) -> anyhow::Result<()> {
    output::list(args.output, &folder.list()?, &message!("model-heads"), |entry: &Entry| {
        vec![
            entry.name.clone(),
            size(entry.bytes),
            entry.problem.clone().or_else(|| entry.kind.clone()).unwrap_or_default(),
            entry.context_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            output::yes(entry.in_use),
        ]
    })
}
