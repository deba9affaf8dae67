//! `maru model …`: the models of this machine.

use std::{path::Path, process::ExitCode};

use clap::Subcommand;
use messages::message;

use crate::{
    client::Client,
    output::{self, OutputArgs},
    units::{self, engines},
    up::{
        control::{USE_MODEL, UseModel},
        progress::Spinner,
    },
};

mod answering;
mod args;
pub(crate) mod disk;
pub(crate) mod download;
pub(crate) mod folder;
mod memory;
pub(crate) mod ollama;
mod part;
mod progress;
mod pull;
mod served;
pub(crate) mod size;
mod source;
#[cfg(test)]
mod tests;

use answering::GiveBack;
use args::{CopyArgs, ListArgs, NameArgs, OllamaArgs, PullArgs, UseArgs};
use folder::{Entry, Folder};
use size::size;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models of this machine
    List(ListArgs),
    /// Show one model: its size, what it is, whether it fits
    Show(NameArgs),
    /// Get a model from a URL, a file, or a folder of Ollama's (~/.ollama/models)
    Pull(PullArgs),
    /// Give a model another name, beside its own
    Copy(CopyArgs),
    /// Choose the model that answers; with a spare engine chats go on while the engines change to it
    Use(UseArgs),
    /// Remove a model that is not in use
    Remove(NameArgs),
}

/// Runs one of the commands.
pub(crate) async fn run(command: ModelCommand, root: &Path) -> anyhow::Result<ExitCode> {
    match command {
        ModelCommand::List(ListArgs { ollama, output }) => match ollama.client(root)? {
            Some(ollama) => served::list(root, &ollama, output).await,
            None => list(&Folder::of(root), output),
        },
        ModelCommand::Show(NameArgs { name, ollama, output }) => match ollama.client(root)? {
            Some(ollama) => served::show(root, &ollama, &name, output).await,
            None => show(&Folder::of(root), &name, output),
        },
        ModelCommand::Pull(args) => match args.ollama.client(root)? {
            Some(ollama) => served::pull(root, &ollama, &args.source, args.output).await,
            None => get(&Folder::of(root), &args).await,
        },
        ModelCommand::Copy(CopyArgs { name, new, ollama, output }) => match ollama.client(root)? {
            Some(ollama) => served::copy(root, &ollama, &name, &new, output).await,
            None => link(&Folder::of(root), &name, &new, output),
        },
        ModelCommand::Use(UseArgs { name, ollama, write, output }) => match ollama.client(root)? {
            Some(ollama) => served::choose(root, &ollama, &name, write, output.output).await,
            None => choose(&Folder::of(root), root, &name, write, output).await,
        },
        ModelCommand::Remove(NameArgs { name, ollama, output }) => match ollama.client(root)? {
            Some(ollama) => served::remove(root, &ollama, &name, output).await,
            None => remove(&Folder::of(root), &name, output),
        },
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn get(folder: &Folder, args: &PullArgs) -> anyhow::Result<()> {
    let entry = pull::run(folder, args).await?;
    let sha256 = entry.sha256.as_deref().unwrap_or_default();
    let text =
        message!("model-pulled", name = entry.name.clone(), size = size(entry.bytes), sha256);
    output::done(args.output.output, &entry, &text)
}

fn link(folder: &Folder, name: &str, new: &str, args: OutputArgs) -> anyhow::Result<()> {
    let entry = folder.copy(name, new)?;
    let text = message!("model-copied", from = name, to = entry.name.clone());
    output::done(args.output, &entry, &text)
}

fn remove(folder: &Folder, name: &str, args: OutputArgs) -> anyhow::Result<()> {
    let entry = folder.remove(name)?;
    output::done(args.output, &entry, &message!("model-removed", name = entry.name.clone()))
}

fn show(folder: &Folder, name: &str, args: OutputArgs) -> anyhow::Result<()> {
    let details = folder.details(name)?;
    let entry = &details.entry;
    let values = [
        entry.name.clone(),
        size(entry.bytes),
        entry.kind.clone().unwrap_or_default(),
        entry.context_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
        details.memory_bytes.map(size).unwrap_or_default(),
        details.fits.map(output::yes).unwrap_or_default(),
        output::yes(entry.in_use),
        details.path.display().to_string(),
        entry.problem.clone().unwrap_or_default(),
    ];
    output::one(args.output, &details, &message!("model-labels"), values)
}

/// Copies a file into the folder of models.
pub(crate) async fn copy(root: &Path, file: &Path) -> anyhow::Result<()> {
    let output = OutputArgs { output: output::Format::Table };
    let source = file.display().to_string();
    let ollama = OllamaArgs::default();
    let args = PullArgs { source, name: None, model: None, sha256: None, ollama, output };
    pull::run(&Folder::of(root), &args).await.map(drop)
}

/// Chooses a model, for requests that name none, and for the engines: now if the services run, else for their next start. If the
/// choice for requests cannot be written, the engines keep their model.
async fn choose(
    folder: &Folder,
    root: &Path,
    name: &str,
    write: bool,
    args: OutputArgs,
) -> anyhow::Result<()> {
    let give_back = GiveBack::plan(root, write)?;
    let (entry, is_now) = change(folder, root, name).await?;
    let text = match (give_back.write()?, is_now) {
        (true, true) => message!("model-used-now", name),
        (true, false) => message!("model-used-later", name),
        (false, true) => message!("model-of-engines-now", name),
        (false, false) => message!("model-of-engines-later", name),
    };
    output::done(args.output, &entry, &text)
}

/// Changes the engines to a model; whether they run, and have it now.
async fn change(folder: &Folder, root: &Path, name: &str) -> anyhow::Result<(Entry, bool)> {
    let supervisor = Client::supervisor(root).await;
    if supervisor.is_none() && !units::are_active(root).await {
        return Ok((folder.choose(name)?, false));
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
    Ok((Entry { in_use: true, ..entry }, true))
}

fn list(folder: &Folder, args: OutputArgs) -> anyhow::Result<()> {
    let entries = [folder.list()?, folder.unfinished()?].concat();
    output::list(args.output, &entries, &message!("model-heads"), |entry: &Entry| {
        vec![
            entry.name.clone(),
            size(entry.bytes),
            entry.problem.clone().or_else(|| entry.kind.clone()).unwrap_or_default(),
            entry.context_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            output::yes(entry.in_use),
        ]
    })
}
