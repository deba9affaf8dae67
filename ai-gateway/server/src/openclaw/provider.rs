//! Providers and their models.

use std::{fmt, str::FromStr};

use chat_vocabulary::Capability;
use llm_backend::Timeouts;
use serde::Deserialize;

use super::{api::Api, nodes::Node};

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
