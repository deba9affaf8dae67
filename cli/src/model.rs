//! `maru model …`: the models of this machine.

use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{
    client::Client,
    output::{self, OutputArgs},
    up::{
        control::{USE_MODEL, UseModel},
        progress::Step,
    },
};

mod args;
mod disk;
pub(crate) mod download;
mod folder;
mod memory;
pub(crate) mod ollama;
mod part;
mod pull;
mod size;
mod source;
#[cfg(test)]
mod tests;

use args::PullArgs;
use folder::{Entry, Folder};
use size::size;

/// Of `maru model`.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelCommand {
    /// List the models of this machine
    List(OutputArgs),
    /// Bring a model here: from a URL, from a file, or from a folder of Ollama's (~/.ollama/models)
    Pull(PullArgs),
    /// Choose the model that answers; chats go on while a running `maru up` changes to it
    Use(NameArgs),
    /// Remove a model that is not in use
    Remove(NameArgs),
}

/// A model by name.
#[derive(Clone, Debug, Args)]
pub struct NameArgs {
    /// Its name, as `maru model list` shows it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: ModelCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let folder = Folder::of(root);
    match command {
        ModelCommand::List(args) => list(&folder, args)?,
        ModelCommand::Pull(args) => {
            let entry = pull::run(&folder, &args).await?;
            let words = format!("{} is here ({}, SHA-256 {})", entry.name, size(entry.bytes), {
                entry.sha256.as_deref().unwrap_or("not computed")
            });
            output::done(args.output.output, &entry, &words)?;
        }
        ModelCommand::Use(args) => {
            let (entry, since) = choose(&folder, root, &args.name).await?;
            output::done(args.output.output, &entry, &format!("{} answers {since}", entry.name))?;
        }
        ModelCommand::Remove(args) => {
            let entry = folder.remove(&args.name)?;
            output::done(args.output.output, &entry, &format!("removed {}", entry.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Chooses a model: now if `maru up` runs, else for its next start; and says which.
async fn choose(folder: &Folder, root: &Path, name: &str) -> anyhow::Result<(Entry, &'static str)> {
    let Some(supervisor) = Client::supervisor(root).await else {
        return Ok((folder.choose(name)?, "from the next start of `maru up` on"));
    };
    let entry = folder.usable(name)?;
    folder.fits_beside(&entry)?;
    let step = Step::new();
    step.now("changing engines, one after the other; chats go on");
    let asked = UseModel { path: folder.path(&entry)? };
    supervisor.call(&USE_MODEL, &[], &asked).await?;
    drop(step);
    Ok((Entry { in_use: true, ..entry }, "now"))
}

fn list(folder: &Folder, args: OutputArgs) -> anyhow::Result<()> {
    let headers = ["NAME", "SIZE", "KIND", "CONTEXT", "IN USE"];
    output::list(args.output, &folder.list()?, &headers, |entry: &Entry| {
        vec![
            entry.name.clone(),
            size(entry.bytes),
            entry.problem.clone().or_else(|| entry.kind.clone()).unwrap_or_default(),
            entry.context_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            output::yes(entry.in_use),
        ]
    })
}
