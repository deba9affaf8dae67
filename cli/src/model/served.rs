//! Models of a running Ollama.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use messages::message;
use serde::Serialize;
use services::AGENT_SERVICE;

use crate::{
    client::Client,
    model::{
        answering::{self, Chosen, May},
        disk, memory,
        progress::Progress,
        size::size,
    },
    ollama::{
        self, Ollama,
        answer::{Description, Model, Models},
        is_mesh, name,
    },
    output::{self, Format, OutputArgs},
    units::{self, systemctl},
    up,
};

/// Where Ollama keeps its models if it was not told otherwise: its service, and root (`docs/faq.mdx` of Ollama).
const FOLDERS: [&str; 2] = ["/usr/share/ollama/.ollama/models", "/root/.ollama/models"];

/// A model as it is printed.
#[derive(Debug, Serialize)]
struct Served {
    #[serde(flatten)]
    model: Model,
    /// Whether it answers requests that name no model.
    in_use: bool,
}

/// A model with its description.
#[derive(Debug, Serialize)]
struct Detailed {
    #[serde(flatten)]
    served: Served,
    context_tokens: Option<u64>,
    capabilities: Vec<String>,
    /// Whether it fits into this machine's memory; unknown of another machine.
    fits: Option<bool>,
}

fn served(root: &Path, ollama: &Ollama, model: Model) -> anyhow::Result<Served> {
    let in_use = Chosen::of(root, ollama)?.is_primary(&model.name);
    Ok(Served { model, in_use })
}

/// Lists them.
pub(super) async fn list(root: &Path, ollama: &Ollama, args: OutputArgs) -> anyhow::Result<()> {
    let Models { here, left_out } = ollama.models().await?;
    let chosen = Chosen::of(root, ollama)?;
    let served = |model: Model| Served { in_use: chosen.is_primary(&model.name), model };
    let here: Vec<_> = here.into_iter().map(served).collect();
    if left_out > 0 {
        output::note(message!("ollama-left-out", left_out));
    }
    output::list(args.output, &here, &message!("ollama-heads"), |it| {
        let Model { name, bytes, kind } = &it.model;
        vec![name.clone(), size(*bytes), kind.clone(), output::yes(it.in_use)]
    })
}

/// Shows one.
pub(super) async fn show(
    root: &Path,
    ollama: &Ollama,
    name: &str,
    args: OutputArgs,
) -> anyhow::Result<()> {
    let models = ollama.models().await?;
    let model = ollama::find(&models.here, name)?;
    let Description { context_tokens, capabilities } = ollama.describe(&model.name).await?;
    let fits = match is_mesh(ollama.at) {
        true => None,
        false => Some(model.bytes <= memory::total()?),
    };
    let served = served(root, ollama, model.clone())?;
    let shown = Detailed { served, context_tokens, capabilities, fits };
    let Model { name, bytes, kind } = &shown.served.model;
    let values = [
        name.clone(),
        size(*bytes),
        kind.clone(),
        context_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
        shown.capabilities.join(", "),
        fits.map(output::yes).unwrap_or_default(),
        output::yes(shown.served.in_use),
    ];
    output::one(args.output, &shown, &message!("ollama-labels"), values)
}

/// Lets Ollama fetch one.
pub(super) async fn pull(
    root: &Path,
    ollama: &Ollama,
    wanted: &str,
    args: OutputArgs,
) -> anyhow::Result<()> {
    name::check(wanted)?;
    // Before anything is fetched: whether it is an Ollama at all, and what its machine holds.
    ollama.models().await?;
    let has = if is_mesh(ollama.at) { None } else { Some(memory::total()?) };
    output::note(match has {
        Some(has) => memory::holds(has),
        None => message!("other-machine-holds"),
    });
    let pulled = tokio::select! {
        pulled = watched(ollama, wanted, has) => pulled,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!(message!("ollama-pull-interrupted"))),
    };
    pulled?;
    let models = ollama.models().await?;
    // It may have become one of a cloud's under this name.
    let Some(model) = models.here.into_iter().find(|it| name::is_same(&it.name, wanted)) else {
        bail!(message!("ollama-pulled-none", at = ollama.at, name = wanted));
    };
    let text = message!("ollama-pulled", name = model.name.clone(), size = size(model.bytes));
    output::done(args.output, &served(root, ollama, model)?, &text)
}

/// What this machine has for a file that its Ollama fetches; each lack is said once.
#[derive(Default)]
struct Bounds {
    memory: Option<u64>,
    folder: Option<PathBuf>,
}

impl Bounds {
    /// What a file lacks of which so many bytes have come.
    fn lacks(&mut self, done: u64, total: u64) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(warning) = self.memory.and_then(|has| memory::too_large(total, has)) {
            said.push(warning.to_string());
            self.memory = None;
        }
        let room = |folder: &PathBuf| disk::has_room(folder, total.saturating_sub(done)).err();
        if let Some(error) = self.folder.as_ref().and_then(room) {
            said.push(format!("{error:#}"));
            self.folder = None;
        }
        said
    }
}

/// The pull with its progress; a file that is larger than the memory, or than the room on the disk, is named as soon as its size
/// is known.
async fn watched(ollama: &Ollama, wanted: &str, has: Option<u64>) -> anyhow::Result<()> {
    let mut progress = Progress::new();
    let folders = FOLDERS.iter().map(PathBuf::from);
    let folder = folders.filter(|_| has.is_some()).find(|folder| folder.exists());
    let mut bounds = Bounds { memory: has, folder };
    let heard = |what: &str, bytes: Option<(u64, u64)>| {
        progress.step(what);
        let Some((done, total)) = bytes else { return };
        for warning in bounds.lacks(done, total) {
            progress.note(warning);
        }
        progress.at(done, total);
    };
    ollama.pull(wanted, heard).await
}

/// Gives one another name.
pub(super) async fn copy(
    root: &Path,
    ollama: &Ollama,
    from: &str,
    to: &str,
    args: OutputArgs,
) -> anyhow::Result<()> {
    name::check(to)?;
    let models = ollama.models().await?;
    let model = ollama::find(&models.here, from)?;
    let to = name::tagged(to);
    if models.here.iter().any(|it| name::is_same(&it.name, &to)) {
        bail!(message!("model-name-taken", name = to));
    }
    ollama.copy(&model.name, &to).await?;
    let text = message!("model-copied", from = model.name.clone(), to = to.clone());
    output::done(args.output, &served(root, ollama, Model { name: to, ..model.clone() })?, &text)
}

/// Removes one that answers no requests that name none.
pub(super) async fn remove(
    root: &Path,
    ollama: &Ollama,
    name: &str,
    args: OutputArgs,
) -> anyhow::Result<()> {
    let models = ollama.models().await?;
    let model = ollama::find(&models.here, name)?;
    let chosen = Chosen::of(root, ollama)?;
    ensure!(!chosen.is_primary(&model.name), message!("model-in-use", name = model.name.clone()));
    let is_needed = chosen.is_fallback(&model.name);
    ensure!(!is_needed, message!("ollama-fallback", name = model.name.clone()));
    ollama.remove(&model.name).await?;
    let served = Served { model: model.clone(), in_use: false };
    output::done(args.output, &served, &message!("model-removed", name = model.name.clone()))
}

/// Makes one answer requests that name no model. Where systemd starts Maru, the gateway gets its dial there, too; `maru up` gives
/// it one by its own option.
pub(super) async fn choose(
    root: &Path,
    ollama: &Ollama,
    name: &str,
    write: bool,
    format: Format,
) -> anyhow::Result<()> {
    let models = ollama.models().await?;
    let model = ollama::find(&models.here, name)?.clone();
    let described = ollama.describe(&model.name).await?;
    ensure!(described.chats(), message!("ollama-no-chat", name = model.name.clone()));
    let context = described.context_tokens.map(up::ollama::bounded);
    let may = May { write, dial: is_of_systemd(root).await };
    if answering::choose(root, ollama, &model.name, context, may)? && units::are_active(root).await
    {
        output::note(message!("ollama-agent-restarts", at = ollama.at));
        systemctl::restart(&format!("{}.service", AGENT_SERVICE.unit())).await?;
    }
    let text = message!("ollama-used", name = model.name.clone());
    output::done(format, &Served { model, in_use: true }, &text)
}

/// Whether systemd starts the home at `root`, and not `maru up`.
async fn is_of_systemd(root: &Path) -> bool {
    up::config::is_there(root)
        && units::are_installed(root).await
        && Client::supervisor(root).await.is_none()
}

#[cfg(test)]
mod tests;
