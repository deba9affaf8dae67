//! `maru model …`: the models of this machine.

use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{
    client::Client,
    output::{self, OutputArgs},
    up::{
        control::{MODEL, UseModel},
        progress::Step,
    },
};

mod disk;
pub(crate) mod download;
mod folder;
mod memory;
pub(crate) mod ollama;
mod part;
mod pull;
mod source;
#[cfg(test)]
mod tests;

use folder::{Entry, Folder};

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

/// Of `maru model pull`.
#[derive(Clone, Debug, Args)]
pub struct PullArgs {
    /// https://…/NAME.gguf, a file, or Ollama's folder of models
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// What it is called here [default: as in the source]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Which one of Ollama's models, such as llama3.2:3b
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// What the file's SHA-256 must be, in hexadecimal digits
    #[arg(long, value_name = "DIGITS", value_parser = digest)]
    pub sha256: Option<[u8; 32]>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
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
    let _: UseModel = supervisor.post(MODEL, &asked).await?;
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

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Reads 64 hexadecimal digits; Ollama writes `sha256:` or `sha256-` before them.
fn digest(text: &str) -> Result<[u8; 32], String> {
    let digits = ["sha256:", "sha256-"].iter().find_map(|before| text.strip_prefix(before));
    let mut digest = [0; 32];
    hex::decode_to_slice(digits.unwrap_or(text), &mut digest)
        .map_err(|_| "a SHA-256 has 64 hexadecimal digits".to_owned())?;
    Ok(digest)
}
