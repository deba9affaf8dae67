//! `openclaw.json`: models, agents and sessions in OpenClaw's format (its manual, version 2026.9.6).
//!
//! JSON5. The types below contain the keys that Maru uses. OpenClaw's other keys are ignored with a warning; any other
//! key is an error, because it is a typing mistake.

mod access;
mod api;
mod channels;
mod choice;
mod error;
mod keys;
mod nodes;
mod prompt_limit;
mod provider;
mod reload;
mod session;
mod substitution;
mod variables;
pub(crate) mod watcher;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use conversations::Retention;
use jsonc_parser::ParseOptions;
use llm_backend::Timeouts;
use serde::Deserialize;
use serde_json::Value;

pub use api::Api;
pub use channels::RoomPolicy;
pub(crate) use choice::find_confidential;
pub use error::OpenClawError;
use error::wrong;
pub use nodes::{Access, Node};
pub use prompt_limit::PromptLimit;
pub use provider::{Compat, Model, ModelRef, Provider};
pub use reload::Reload;
use substitution::Substituted;
pub use variables::Variables;

/// The settings used without a file: the embedded engine.
const DEFAULT: &str = include_str!("../openclaw.example.json");
/// The warning about OpenClaw's usual workspace.
const HOME: &str = "`agents.defaults.workspace` is ignored: the gateway has no home folder; put the files into \
     var/lib/maru/gateway/workspace";

/// The part of `openclaw.json` that Maru uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenClaw {
    /// By name.
    pub providers: BTreeMap<String, Provider>,
    /// The primary model.
    pub primary: ModelRef,
    /// Its fallbacks, in this order.
    pub fallbacks: Vec<ModelRef>,
    /// Folder of the workspace files, if not the default.
    pub workspace: Option<PathBuf>,
    /// How much of the workspace files is in the prompt.
    pub prompt_limit: PromptLimit,
    /// Which messages of rooms are answered.
    pub rooms: RoomPolicy,
    /// Whether a change of the file applies while the gateway runs: `gateway.reload.mode`.
    pub reload: Reload,
    /// How long conversations are kept.
    pub retention: Retention,
    /// OpenClaw's keys that have no effect here.
    pub warnings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    models: RawModels,
    agents: RawAgents,
    channels: channels::RawChannels,
    session: session::RawSession,
    ui: channels::RawUi,
    gateway: reload::RawGateway,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawModels {
    providers: BTreeMap<String, RawProvider>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawProvider {
    base_url: String,
    api: Option<String>,
    api_key: Option<Value>,
    request: Option<access::Request>,
    uid: Option<u32>,
    nodes: Vec<nodes::RawNode>,
    relays: Vec<nodes::RawNode>,
    timeouts: nodes::RawTimeouts,
    models: Vec<Model>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAgents {
    defaults: RawDefaults,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawDefaults {
    model: Option<choice::RawModelChoice>,
    workspace: Option<PathBuf>,
    bootstrap_max_chars: Option<usize>,
    bootstrap_total_max_chars: Option<usize>,
    timeout_seconds: Option<u64>,
}

impl OpenClaw {
    /// Reads the file; without one, the embedded engine answers.
    ///
    /// # Errors
    ///
    /// See [`OpenClawError`].
    pub fn load(path: &Path) -> Result<Self, OpenClawError> {
        match Self::read(path) {
            Err(OpenClawError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::parse(DEFAULT)
            }
            read => read,
        }
    }

    /// Reads the file, which must exist.
    ///
    /// # Errors
    ///
    /// See [`OpenClawError`].
    pub fn read(path: &Path) -> Result<Self, OpenClawError> {
        let failed = |source| OpenClawError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse_with(&text, &Variables::beside(path)?)
    }

    /// Parses the text of the file, without a file of variables.
    ///
    /// # Errors
    ///
    /// See [`OpenClawError`].
    pub fn parse(text: &str) -> Result<Self, OpenClawError> {
        Self::parse_with(text, &Variables::default())
    }

    /// Parses the text of the file with the variables that it names.
    ///
    /// # Errors
    ///
    /// See [`OpenClawError`].
    pub fn parse_with(text: &str, variables: &Variables) -> Result<Self, OpenClawError> {
        let options = ParseOptions { allow_missing_commas: false, ..ParseOptions::default() };
        let mut value: Value = jsonc_parser::parse_to_serde_value(text, &options)
            .map_err(|error| OpenClawError::Syntax(error.to_string()))?;
        let variables = variables.with_own(&value);
        let substituted = Substituted::replace(&mut value, &variables)?;
        let hide = |text| substituted.hide(text);
        let ignored = keys::check(&value)?;
        let mut missing = substituted.missing.iter();
        if let Some((at, name)) = missing.find(|(at, _)| !ignored.contains(at)) {
            let (at, name) = (at.clone(), name.clone());
            return Err(OpenClawError::Missing { at, name, file: variables.file().to_owned() });
        }
        let mut read = Self::decode(value).map_err(|error| error.hidden(hide))?;
        read.warnings.splice(..0, ignored.warnings());
        read.warnings = read.warnings.into_iter().map(hide).collect();
        Ok(read)
    }

    /// Decodes a file whose keys were checked and whose variables were replaced.
    fn decode(value: Value) -> Result<Self, OpenClawError> {
        if !value.is_object() {
            return Err(wrong("the file", "its text must be an object: { models: …, agents: … }"));
        }
        let mut warnings = Vec::new();
        let raw: Raw = serde_json::from_value(value).map_err(|error| {
            wrong("models, agents, channels, gateway, session or ui", error.to_string())
        })?;

        let defaults = raw.agents.defaults;
        let reply =
            defaults.timeout_seconds.map_or(Timeouts::default().budget, Duration::from_secs);
        let mut providers = BTreeMap::new();
        for (name, provider) in raw.models.providers {
            match usable(&name, provider, reply)? {
                Ok(mut provider) => {
                    warnings.extend(leave_out_cloud(&name, &mut provider));
                    providers.insert(name, provider);
                }
                Err(warning) => warnings.push(warning),
            }
        }
        let spare = if providers.is_empty() {
            warnings.push(choice::EMBEDDED.to_owned());
            let embedded = Self::parse(DEFAULT)?;
            providers = embedded.providers;
            Some((embedded.primary, embedded.fallbacks))
        } else {
            None
        };
        if let Some(choice) = &defaults.model {
            choice::name_unlisted(choice, &mut providers);
        }
        let chosen = choice::choose(defaults.model, &providers, &mut warnings)?;
        let (primary, fallbacks) = match chosen.or(spare) {
            Some(chosen) => chosen,
            None => (choice::first(&providers)?, Vec::new()),
        };
        let (workspace, is_at_home) = match defaults.workspace {
            Some(folder) if folder.starts_with("~") => (None, true),
            folder => (folder, false),
        };
        if is_at_home {
            warnings.push(HOME.to_owned());
        }
        let prompt_limit =
            PromptLimit::new(defaults.bootstrap_max_chars, defaults.bootstrap_total_max_chars);
        Ok(Self {
            primary,
            fallbacks,
            providers,
            workspace,
            prompt_limit,
            rooms: RoomPolicy::read(raw.channels, raw.ui)?,
            reload: raw.gateway.read(&mut warnings)?,
            retention: session::read(raw.session)?,
            warnings,
        })
    }
}

/// The provider, or a warning why it is ignored; `reply` is the default time limit of its replies.
fn usable(
    name: &str,
    raw: RawProvider,
    reply: Duration,
) -> Result<Result<Provider, String>, OpenClawError> {
    let at = format!("models.providers.{name}");
    if name.contains('/') {
        return Err(wrong(at, "a provider's name must not contain a slash"));
    }
    let api_name = raw.api.as_deref().unwrap_or("openai-completions");
    let api = match Api::parse(api_name) {
        Some(api) => api,
        None if keys::APIS.contains(&api_name) => {
            let warning = format!(
                "{at} is ignored: this version supports openai-completions, ollama and maru-confidential, not {api_name}"
            );
            return Ok(Err(warning));
        }
        None => {
            let reason = format!(
                "{api_name:?} is unknown; use \"openai-completions\", \"ollama\" or \"maru-confidential\""
            );
            return Err(wrong(format!("{at}.api"), reason));
        }
    };
    let shared = Access::read(raw.api_key, raw.request, raw.uid, &at)?;
    let nodes = nodes::read(raw.base_url, &shared, raw.nodes, &at)?;
    let relays = nodes::relays(api, &nodes, &shared, raw.relays, &at)?;
    let timeouts = raw.timeouts.read(reply, &format!("{at}.timeouts"))?;
    Ok(Ok(Provider { api, nodes, relays, timeouts, models: raw.models }))
}

/// Removes the models that an Ollama forwards to its cloud; returns a warning for each.
fn leave_out_cloud(name: &str, provider: &mut Provider) -> Vec<String> {
    if provider.api != Api::Ollama {
        return Vec::new();
    }
    let cloud =
        provider.models.extract_if(.., |model| chat_vocabulary::ollama::is_cloud(&model.id));
    let warning = |model: Model| {
        format!("{name}/{} is ignored: it runs in Ollama's cloud, not at home", model.id)
    };
    cloud.map(warning).collect()
}

#[cfg(test)]
mod tests;
