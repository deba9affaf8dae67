//! `openclaw.json`: models, agents and sessions in OpenClaw's format (its manual, version 2026.9.6).
//!
//! JSON5. The types below contain the keys that Maru uses. OpenClaw's other keys are ignored with a warning; any other
//! key is an error, because it is a typing mistake.

mod access;
mod api;
mod channels;
mod error;
mod keys;
mod nodes;
mod reload;
mod substitution;
mod variables;
pub(crate) mod watcher;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use chat_vocabulary::Capability;
use jsonc_parser::ParseOptions;
use llm_backend::Timeouts;
use serde::Deserialize;
use serde_json::Value;

pub use api::Api;
pub use channels::RoomPolicy;
pub use error::OpenClawError;
use error::wrong;
pub use nodes::{Access, Node};
pub use reload::Reload;
use substitution::Substituted;
pub use variables::Variables;

/// The settings used without a file: the embedded engine.
const DEFAULT: &str = include_str!("../openclaw.example.json");

/// A model of a provider, written `provider/model`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelRef {
    /// Key under `models.providers`.
    pub provider: String,
    /// The model's id at the provider; it may contain slashes.
    pub model: String,
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl FromStr for ModelRef {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
                Ok(Self { provider: provider.to_owned(), model: model.to_owned() })
            }
            Some(_) | None => Err(()),
        }
    }
}

/// A provider of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its protocol.
    pub api: Api,
    /// Its servers, each with all of its models; at least one.
    pub nodes: Vec<Node>,
    /// Relays of a confidential chain; its only node is the address of its configuration. Empty for others.
    pub relays: Vec<Node>,
    /// Timeouts for its nodes.
    pub timeouts: Timeouts,
    /// Its models.
    pub models: Vec<Model>,
}

impl Provider {
    /// Whether the other is the same but for `draining` and `slots` of its nodes.
    pub(crate) fn equals_but_for_load(&self, other: &Self) -> bool {
        let plain = |provider: &Self| {
            let mut provider = provider.clone();
            for node in &mut provider.nodes {
                (node.slots, node.draining) = (None, false);
            }
            provider
        };
        plain(self) == plain(other)
    }
}

/// A configured model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Its id at the provider.
    pub id: String,
    /// Tokens that a conversation may hold, if known.
    pub context_window: Option<u32>,
    /// Most tokens of a reply if its request sets no limit.
    pub max_tokens: Option<u32>,
    /// Its inputs: `text`, `image`; unknown if absent.
    pub input: Option<Vec<String>>,
    /// Whether it can reason before it answers; unknown if absent.
    pub reasoning: Option<bool>,
    /// Its further capabilities.
    #[serde(default)]
    pub compat: Compat,
}

/// Capabilities of a model: OpenClaw's key that is used here, and one of Maru's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Compat {
    /// Whether it calls tools; unknown if absent.
    pub supports_tools: Option<bool>,
    /// Whether it fills a gap between a prompt and a suffix; unknown if absent.
    pub supports_insert: Option<bool>,
}

impl Model {
    /// Whether the file says that it has this capability.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Tools => self.compat.supports_tools == Some(true),
            Capability::Insert => self.compat.supports_insert == Some(true),
            Capability::Thinking => self.reasoning == Some(true),
            Capability::Vision => {
                self.input.as_ref().is_some_and(|kinds| kinds.iter().any(|kind| kind == "image"))
            }
            Capability::Completion | Capability::Embedding => false,
        }
    }

    /// Whether the file denies it this capability. For what the file does not state, the backend decides.
    #[must_use]
    pub fn lacks(&self, capability: Capability) -> bool {
        match capability {
            Capability::Tools => self.compat.supports_tools == Some(false),
            Capability::Insert => self.compat.supports_insert == Some(false),
            Capability::Thinking => self.reasoning == Some(false),
            Capability::Vision => {
                self.input.as_ref().is_some_and(|kinds| kinds.iter().all(|kind| kind != "image"))
            }
            Capability::Completion | Capability::Embedding => false,
        }
    }
}

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
    /// Most characters of one workspace file in the prompt.
    pub file_chars: usize,
    /// Most characters of all workspace files in the prompt.
    pub total_chars: usize,
    /// Which messages of rooms are answered.
    pub rooms: RoomPolicy,
    /// Whether a change of the file applies while the gateway runs: `gateway.reload.mode`.
    pub reload: Reload,
    /// OpenClaw's keys that have no effect here.
    pub warnings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    models: RawModels,
    agents: RawAgents,
    channels: channels::RawChannels,
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
    model: Option<RawModelChoice>,
    workspace: Option<PathBuf>,
    bootstrap_max_chars: Option<usize>,
    bootstrap_total_max_chars: Option<usize>,
    timeout_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawModelChoice {
    One(String),
    List {
        primary: String,
        #[serde(default)]
        fallbacks: Vec<String>,
    },
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
        let mut warnings = Vec::new();
        let raw: Raw = serde_json::from_value(value)
            .map_err(|error| wrong("models, agents, channels, gateway or ui", error.to_string()))?;

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
        if let Some(choice) = &defaults.model {
            name_unlisted(choice, &mut providers);
        }
        let (primary, fallbacks) = choose(defaults.model, &providers)?;
        let total_chars = defaults.bootstrap_total_max_chars.unwrap_or(6000);
        Ok(Self {
            primary,
            fallbacks,
            providers,
            workspace: defaults.workspace,
            file_chars: defaults.bootstrap_max_chars.unwrap_or(total_chars),
            total_chars,
            rooms: RoomPolicy::read(raw.channels, raw.ui)?,
            reload: raw.gateway.read(&mut warnings)?,
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
    let cloud = provider.models.extract_if(.., |model| llm_backend::is_cloud(&model.id));
    let warning = |model: Model| {
        format!("{name}/{} is ignored: it runs in Ollama's cloud, not at home", model.id)
    };
    cloud.map(warning).collect()
}

/// Gives a provider that lists no models those that the settings choose: an engine with one model accepts any name.
fn name_unlisted(choice: &RawModelChoice, providers: &mut BTreeMap<String, Provider>) {
    let names = match choice {
        RawModelChoice::One(primary) => vec![primary],
        RawModelChoice::List { primary, fallbacks } => {
            [primary].into_iter().chain(fallbacks).collect()
        }
    };
    let unlisted: Vec<String> = providers
        .iter()
        .filter(|(_, provider)| provider.models.is_empty())
        .map(|(name, _)| name.clone())
        .collect();
    for named in names.into_iter().filter_map(|name| name.parse::<ModelRef>().ok()) {
        let Some(provider) = providers.get_mut(&named.provider) else {
            continue;
        };
        let listed = provider.models.iter().any(|model| model.id == named.model);
        if unlisted.contains(&named.provider) && !listed {
            provider.models.push(Model { id: named.model, ..Model::default() });
        }
    }
}

/// The primary model and its fallbacks, each of which must be configured.
fn choose(
    choice: Option<RawModelChoice>,
    providers: &BTreeMap<String, Provider>,
) -> Result<(ModelRef, Vec<ModelRef>), OpenClawError> {
    let at = "agents.defaults.model";
    let find = |text: &String| -> Result<ModelRef, OpenClawError> {
        let found: ModelRef = text
            .parse()
            .map_err(|()| wrong(at, format!("{text:?} is not written as provider/model")))?;
        let known = providers
            .get(&found.provider)
            .is_some_and(|provider| provider.models.iter().any(|model| model.id == found.model));
        if known {
            return Ok(found);
        }
        let deployments = providers.iter().filter(|(_, it)| it.api == Api::Confidential);
        let deployments = deployments.map(|(name, it)| (name.as_str(), it.models.as_slice()));
        if let Some(found) = find_confidential(text, deployments) {
            return Ok(found);
        }
        Err(wrong(at, format!("{text:?} is not among models.providers; add it there")))
    };
    match choice {
        Some(RawModelChoice::One(primary)) => Ok((find(&primary)?, Vec::new())),
        Some(RawModelChoice::List { primary, fallbacks }) => {
            Ok((find(&primary)?, fallbacks.iter().map(find).collect::<Result<_, _>>()?))
        }
        None => {
            // A confidential model runs on a machine outside the home, so it is the default only if the file says so.
            let may_be_default =
                |(_, provider): &(&String, &Provider)| provider.api != Api::Confidential;
            let first = providers.iter().filter(may_be_default).find_map(|(name, provider)| {
                let model = provider.models.first()?.id.clone();
                Some(ModelRef { provider: name.clone(), model })
            });
            let first = first.ok_or_else(|| {
                wrong("models.providers", "no model is configured; add a provider with a model")
            })?;
            Ok((first, Vec::new()))
        }
    }
}

/// References to a deployment's only model, or to a model by its bare name.
const CONFIDENTIAL: &str = "confidential/";

/// The model that `confidential/NAME` means: the first of the deployment with that name, or the only model with that
/// id.
pub(crate) fn find_confidential<'a>(
    asked: &str,
    deployments: impl Iterator<Item = (&'a str, &'a [Model])> + Clone,
) -> Option<ModelRef> {
    let name = asked.strip_prefix(CONFIDENTIAL)?;
    let named = |provider: &str, model: &Model| ModelRef {
        provider: provider.to_owned(),
        model: model.id.clone(),
    };
    if let Some((provider, models)) = deployments.clone().find(|(provider, _)| *provider == name) {
        return Some(named(provider, models.first()?));
    }
    let mut all = deployments.flat_map(|(provider, models)| {
        models.iter().filter(|model| model.id == name).map(move |model| named(provider, model))
    });
    all.next().filter(|_| all.next().is_none())
}

#[cfg(test)]
mod tests;
