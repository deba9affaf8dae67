//! Chooses the backends for a request: the requested model, or its fallbacks.
//!
//! ```text
//! name ─▶ Chain: candidates, in order ─▶ each one's Provider ─▶ its Nodes, in the order of `nodes`
//! ```
//!
//! A changed `openclaw.json` makes another [`Catalog`]. Requests in progress hold the providers that they began with.

mod catalog;
mod chain;
mod confidential;
mod examine;
mod failure;
mod name;
mod node;
pub(crate) mod nodes;
mod open;
mod provider;
mod settings;

use std::sync::{Arc, PoisonError, RwLock};

use ai_gateway_api::providers::ProviderNode;
use llm_backend::Error;

use self::catalog::Catalog;
use crate::openclaw::{ModelRef, OpenClaw};

pub(crate) use chain::{Chain, Reply};
pub(crate) use failure::Failure;
pub(crate) use failure::report;
pub(crate) use name::HOUSEHOLD;
#[cfg(test)]
pub(crate) use node::Node;
pub(crate) use node::PATIENCE;
pub(crate) use node::State;
pub(crate) use open::Opener;
pub(crate) use provider::Description;
#[cfg(test)]
pub(crate) use provider::Provider;

/// The models in use.
#[derive(Debug)]
pub(crate) struct Models {
    catalog: RwLock<Arc<Catalog>>,
}

impl Models {
    /// Opens the backends of `openclaw.json`, each with a circuit breaker. A file that cannot be used makes its provider
    /// unavailable until it can; the log names the file.
    pub(crate) fn new(file: &OpenClaw, opener: &Opener) -> Result<Self, Error> {
        Ok(Self::of(Catalog::open(file, None, opener)?))
    }

    fn of(catalog: Catalog) -> Self {
        Self { catalog: RwLock::new(Arc::new(catalog)) }
    }

    /// Makes the models of these providers.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_providers(
        providers: std::collections::BTreeMap<String, Provider>,
        primary: ModelRef,
        fallbacks: Vec<ModelRef>,
    ) -> Self {
        Self::of(Catalog::with_providers(providers, primary, fallbacks))
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes from the models of `former` to those of `file`. Requests in progress keep their backends, and an error
    /// changes nothing.
    pub(crate) fn change(
        &self,
        former: &OpenClaw,
        file: &OpenClaw,
        opener: &Opener,
    ) -> Result<(), Error> {
        let next = Catalog::open(file, Some((former, &self.catalog())), opener)?;
        next.set_nodes(file);
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    /// Every model, as `provider/model`, the primary first.
    #[must_use]
    pub(crate) fn list(&self) -> Vec<(ModelRef, Option<u32>)> {
        self.catalog().list()
    }

    /// Returns the nodes of every provider, by the provider's name.
    #[must_use]
    pub(crate) fn nodes(&self) -> Vec<(String, State)> {
        self.catalog().nodes()
    }

    /// The names of the providers.
    #[must_use]
    pub(crate) fn providers(&self) -> Vec<String> {
        self.catalog().providers()
    }

    /// Concurrent replies of a provider, by the settings or as its nodes report; `default` for a node without either.
    #[must_use]
    pub(crate) fn slots(&self, provider: &str, default: u32) -> u32 {
        self.catalog().slots(provider, default)
    }

    /// Chooses the candidates for a model's name: the primary and its fallbacks if the name is absent, the household's
    /// or the primary's; otherwise that model alone. A name is `provider/model`, or the model's id if only one provider
    /// has it, each with or without Ollama's `:latest`.
    pub(crate) fn choose(&self, asked: Option<&str>) -> Result<Chain, Failure> {
        self.catalog().choose(asked)
    }

    /// Describes every model, the primary first.
    #[must_use]
    pub(crate) fn describe(&self) -> Vec<Description> {
        self.catalog().describe()
    }

    /// Describes one; `None` if it does not exist.
    #[must_use]
    pub(crate) fn describe_one(&self, name: &ModelRef) -> Option<Description> {
        self.catalog().describe_one(name)
    }

    /// Checks the health of nodes that were unhealthy, and of all nodes of providers with several.
    pub(crate) async fn probe(&self) {
        self.catalog().probe().await;
    }

    /// Asks backends for context sizes and capabilities that are not in the settings; with `again` also those that have
    /// answered before.
    pub(crate) async fn learn(&self, again: bool) {
        self.catalog().learn(again).await;
    }

    /// Whether a backend is ready now.
    pub(crate) async fn ready(&self) -> bool {
        self.catalog().ready().await
    }

    /// Checks each node's health now, and lists its models if it is healthy, so that a wrong key is noticed. In the
    /// order of the settings.
    pub(crate) async fn examine(&self) -> Vec<ProviderNode> {
        self.catalog().examine().await
    }
}

#[cfg(test)]
mod tests;
