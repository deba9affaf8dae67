//! Which model answers requests that name none: `agents.defaults.model` of `openclaw.json`.

use std::{
    fs,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ai_gateway_api::settings::gateway;
use anyhow::{Context as _, ensure};
use chassis::settings;
use messages::{Message, message};
use serde_json::Value;
use services::{INFERENCE, INFERENCE_2, Link};

use crate::{
    edited_file::Changes,
    ollama::{Ollama, name},
    openclaw, output,
    up::{
        config,
        ollama::{self, PROVIDER},
    },
};

/// Where `openclaw.json` is, below the root.
fn file(root: &Path) -> anyhow::Result<PathBuf> {
    let settings: gateway::Settings = settings::load(None, &root.join(gateway::FILE), Ok)?;
    Ok(settings.openclaw)
}

/// The file's text; `None` if this machine has none, as one that is not home.
fn text(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| message!("file-not-read", path = path.display())),
    }
}

fn is_ollamas(model: &str) -> bool {
    model.strip_prefix(PROVIDER).is_some_and(|rest| rest.starts_with('/'))
}

/// The models that answer requests that name none, as the file calls them.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    primary: Option<String>,
    fallbacks: Vec<String>,
}

impl Chosen {
    /// Those of this Ollama.
    pub(super) fn of(root: &Path, ollama: &Ollama) -> anyhow::Result<Self> {
        let text = text(&root.join(file(root)?))?;
        let Some(value) = text.and_then(|text| openclaw::read(&text)) else {
            return Ok(Self::default());
        };
        if !is_dialled(root, ollama.at)? {
            return Ok(Self::default());
        }
        let (primary, fallbacks) = openclaw::choice(&value);
        Ok(Self { primary, fallbacks })
    }

    /// Whether this model of Ollama's answers.
    pub(super) fn is_primary(&self, listed: &str) -> bool {
        self.primary.as_ref().is_some_and(|model| is_ollamas_model(model, listed))
    }

    /// Whether this model of Ollama's answers when others do not.
    pub(super) fn is_fallback(&self, listed: &str) -> bool {
        self.fallbacks.iter().any(|model| is_ollamas_model(model, listed))
    }
}

fn is_ollamas_model(model: &str, listed: &str) -> bool {
    let name = model.strip_prefix(PROVIDER).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| name::is_same(name, listed))
}

/// Whether the gateway's dial leads to the Ollama at `at`. Every loopback address means this machine.
fn is_dialled(root: &Path, at: SocketAddr) -> anyhow::Result<bool> {
    let same = |to: SocketAddr| {
        let is_here = to.ip().is_loopback() && at.ip().is_loopback();
        to == at || is_here && to.port() == at.port()
    };
    Ok(ollama::dialled(&config::agent(root)?).is_some_and(same))
}

/// The model of this machine's engine, as the file calls it.
fn engine(value: &Value) -> Option<String> {
    let providers = value["models"]["providers"].as_object()?;
    let (name, provider) = providers.iter().find(|(_, it)| leads_to(it, INFERENCE))?;
    Some(format!("{name}/{}", provider["models"][0]["id"].as_str()?))
}

fn leads_to(provider: &Value, engine: Link) -> bool {
    provider["baseUrl"] == format!("unix:///{}", engine.socket)
}

/// The value, and the model that answers, if a provider of the file has it and no engine of this machine does: the gateway leaves
/// out a model of any other provider.
fn elsewhere(value: Value) -> Option<(Value, String)> {
    let primary = openclaw::choice(&value).0?;
    let provider = value["models"]["providers"].get(primary.split('/').next()?)?;
    let nodes = provider["nodes"].as_array().into_iter().flatten();
    let is_engine = |it: &Value| leads_to(it, INFERENCE) || leads_to(it, INFERENCE_2);
    let is_here = [provider].into_iter().chain(nodes).any(is_engine);
    (!is_here).then_some((value, primary))
}

/// The text in which `primary` answers, and what answered before only if that does not; but no other model of Ollama's.
fn with_primary(text: &str, primary: &str) -> Option<String> {
    let value = openclaw::read(text)?;
    let (former, fallbacks) = openclaw::choice(&value);
    let former = former.or_else(|| engine(&value));
    let is_other = |model: &String| model != primary && !is_ollamas(model);
    let mut list: Vec<String> = Vec::new();
    for model in former.into_iter().chain(fallbacks).filter(is_other) {
        if !list.contains(&model) {
            list.push(model);
        }
    }
    openclaw::choose(text, primary, &list)
}

/// What a choice may change besides what Maru wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct May {
    /// An `openclaw.json` that Maru did not write.
    pub(super) write: bool,
    /// Where the gateway's dial to Ollama leads.
    pub(super) dial: bool,
}

/// Makes a model of Ollama's answer, of a conversation of at most so many tokens; whether the agent has to start again, since the
/// gateway's dial leads there only then.
///
/// # Errors
///
/// The gateway has no dial there, or a file may not be changed or cannot be edited. Nothing is changed.
pub(super) fn choose(
    root: &Path,
    ollama: &Ollama,
    name: &str,
    context: Option<u64>,
    may: May,
) -> anyhow::Result<bool> {
    let is_dialled = is_dialled(root, ollama.at)?;
    ensure!(is_dialled || may.dial, message!("ollama-no-dial", at = ollama.at));
    let path = file(root)?;
    openclaw::check(&root.join(&path), may.write)?;
    let mut changes = Changes::default();
    if !is_dialled {
        let agent = Path::new(node_agent_api::settings::FILE);
        changes.plan(root, agent, "", |text| ollama::with_dial(text, ollama.at))?;
    }
    changes.plan(root, &path, "{}\n", |text| {
        let text = ollama::with_model(text, ollama.at, name, context)?;
        with_primary(&text, &format!("{PROVIDER}/{name}"))
    })?;
    changes.write()?;
    Ok(!is_dialled)
}

/// What becomes of requests that name no model once the engines have another one.
#[derive(Debug)]
pub(super) struct GiveBack {
    changes: Changes,
    said: Option<Message>,
    is_engines: bool,
}

impl GiveBack {
    /// Plans that this machine's engine answers again, if a model of Ollama's does. An `openclaw.json` that Maru did not write stays
    /// unless `write` says otherwise, and so does what answers: the engine may be meant for those who name its model.
    ///
    /// # Errors
    ///
    /// The file cannot be read or edited. Nothing is changed.
    pub(super) fn plan(root: &Path, write: bool) -> anyhow::Result<Self> {
        let path = file(root)?;
        let mut changes = Changes::default();
        let text = text(&root.join(&path))?.unwrap_or_default();
        let Some((value, former)) = openclaw::read(&text).and_then(elsewhere) else {
            return Ok(Self { changes, said: None, is_engines: true });
        };
        let shown = path.display();
        let still = match engine(&value).filter(|_| is_ollamas(&former)) {
            Some(_) if !write && !openclaw::is_of_maru(&text) => {
                message!("ollama-answers-still", former, path = shown)
            }
            Some(engine) => {
                changes.plan(root, &path, "{}\n", |text| with_primary(text, &engine))?;
                let said = Some(message!("engine-answers-again", former));
                return Ok(Self { changes, said, is_engines: true });
            }
            None => message!("other-answers-still", former, path = shown),
        };
        Ok(Self { changes, said: Some(still), is_engines: false })
    }

    /// Writes and says it; whether this machine's engine answers now.
    pub(super) fn write(self) -> anyhow::Result<bool> {
        self.changes.write()?;
        self.said.iter().for_each(output::note);
        Ok(self.is_engines)
    }
}
