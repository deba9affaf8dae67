//! The models of one reading of `openclaw.json`, and their order.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream};
use llm_backend::Error;

use super::{
    chain::{Candidate, Chain},
    failure::Failure,
    name::{LATEST, is_household},
    node::State,
    open::Opener,
    provider::{Description, Provider},
};
use crate::openclaw::{self, Model, ModelRef, OpenClaw};

/// Health checks at a time.
pub(super) const CHECKS: usize = 32;

/// All models, and their order.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) providers: BTreeMap<String, Arc<Provider>>,
    primary: ModelRef,
    pub(super) fallbacks: Vec<ModelRef>,
}

/// Longest part of an unknown model's name in an error, in characters.
const NAME_MAX: usize = 100;

impl Catalog {
    /// Opens the providers of `openclaw.json`. One that `former` has with the same settings stays open.
    pub(super) fn open(
        file: &OpenClaw,
        former: Option<(&OpenClaw, &Self)>,
        opener: &Opener,
    ) -> Result<Self, Error> {
        let mut providers = BTreeMap::new();
        for (name, provider) in &file.providers {
            let same = former.and_then(|(former, catalog)| {
                let before = former.providers.get(name)?;
                provider.equals_but_for_load(before).then(|| catalog.providers.get(name)).flatten()
            });
            let opened = match same {
                Some(same) => Arc::clone(same),
                None => Arc::new(opener.open(name, provider)?),
            };
            providers.insert(name.clone(), opened);
        }
        Ok(Self { providers, primary: file.primary.clone(), fallbacks: file.fallbacks.clone() })
    }

    /// Makes the models of these providers.
    #[cfg(test)]
    #[must_use]
    pub(super) fn with_providers(
        providers: BTreeMap<String, Provider>,
        primary: ModelRef,
        fallbacks: Vec<ModelRef>,
    ) -> Self {
        let providers = providers.into_iter().map(|(name, it)| (name, Arc::new(it))).collect();
        Self { providers, primary, fallbacks }
    }

    /// Every model, as `provider/model`, the primary first.
    #[must_use]
    pub(super) fn list(&self) -> Vec<(ModelRef, Option<u32>)> {
        let mut list: Vec<_> = self
            .providers
            .iter()
            .flat_map(|(name, provider)| {
                provider.models.iter().map(|model| {
                    let model_ref = ModelRef { provider: name.clone(), model: model.id.clone() };
                    (model_ref, provider.context_window(model))
                })
            })
            .collect();
        list.sort_by_key(|(model, _)| *model != self.primary);
        list
    }

    /// Returns the nodes of every provider, by the provider's name.
    #[must_use]
    pub(super) fn nodes(&self) -> Vec<(String, State)> {
        let states = self.providers.iter().flat_map(|(name, provider)| {
            provider.nodes.iter().map(|node| (name.clone(), node.state()))
        });
        states.collect()
    }

    /// The names of the providers.
    pub(super) fn providers(&self) -> Vec<String> {
        self.providers.keys().cloned().collect()
    }

    /// Concurrent replies of a provider, by the settings or as its nodes report; `default` for a node without either.
    #[must_use]
    pub(super) fn slots(&self, provider: &str, default: u32) -> u32 {
        self.providers.get(provider).map_or(default, |provider| provider.slots(default))
    }

    /// Sets each node's `draining` and `slots` to the file's. Nodes are neither added nor removed.
    pub(super) fn set_nodes(&self, file: &OpenClaw) {
        for (name, provider) in &file.providers {
            let nodes = self.providers.get(name).into_iter().flat_map(|provider| &provider.nodes);
            for node in nodes {
                if let Some(it) = provider.nodes.iter().find(|it| it.base_url == node.name()) {
                    node.set(it.slots, it.draining);
                }
            }
        }
    }

    /// Chooses the candidates for a model's name: the primary and its fallbacks if the name is absent, the household's
    /// or the primary's; otherwise that model alone. A name is `provider/model`, or the model's id if only one provider
    /// has it, each with or without Ollama's `:latest`.
    pub(super) fn choose(&self, asked: Option<&str>) -> Result<Chain, Failure> {
        let named = asked.filter(|asked| !is_household(asked));
        let chosen = named.map_or_else(|| Ok(self.primary.clone()), |asked| self.find(asked))?;
        let list = if chosen == self.primary {
            [&self.primary].into_iter().chain(&self.fallbacks).collect()
        } else {
            vec![&chosen]
        };
        let mut chain = Chain {
            candidates: Vec::new(),
            person: None,
            first: chosen.clone(),
            household: named.is_none(),
            context_window: None,
            max_tokens: None,
        };
        for name in list {
            let Some((provider, model)) = self.get(name) else {
                continue;
            };
            if chain.candidates.is_empty() {
                chain.max_tokens = model.max_tokens;
            }
            let windows = [chain.context_window, provider.context_window(model)];
            chain.context_window = windows.into_iter().flatten().min();
            let (name, model) = (name.clone(), model.clone());
            chain.candidates.push(Candidate { name, model, provider: Arc::clone(provider) });
        }
        Ok(chain)
    }

    fn find(&self, asked: &str) -> Result<ModelRef, Failure> {
        let other = match asked.strip_suffix(LATEST) {
            Some(bare) => bare.to_owned(),
            None => format!("{asked}{LATEST}"),
        };
        let exact = [asked, &other].into_iter().find_map(|name| self.find_exactly(name));
        exact.or_else(|| self.find_confidential(asked)).ok_or_else(|| Failure::Unknown {
            asked: asked.chars().take(NAME_MAX).collect(),
            known: self.list().iter().map(|(model, _)| model.to_string()).collect(),
        })
    }

    /// The model of this name, with its provider's or without; of several, the primary.
    fn find_exactly(&self, name: &str) -> Option<ModelRef> {
        let owned = |(provider, model): (&str, &str)| ModelRef {
            provider: provider.to_owned(),
            model: model.to_owned(),
        };
        let all = || {
            self.providers.iter().flat_map(|(provider, it)| {
                it.models.iter().map(|model| (provider.as_str(), model.id.as_str()))
            })
        };
        let primary = (self.primary.provider.as_str(), self.primary.model.as_str());
        let primary = Some(primary).filter(|_| self.get(&self.primary).is_some());
        let is_whole = |(provider, model): &(&str, &str)| {
            let rest = name.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
            rest == Some(model)
        };
        if let Some(found) = primary.into_iter().chain(all()).find(is_whole) {
            return Some(owned(found));
        }
        let mut bare = all().filter(|(of, model)| *model == name && self.is_ours(of));
        match (bare.next(), bare.next()) {
            (Some(found), None) => Some(owned(found)),
            // Several providers have this id: the primary, if it is among them.
            (Some(_), Some(_)) => primary.filter(|(_, model)| *model == name).map(owned),
            _ => None,
        }
    }

    fn get(&self, model: &ModelRef) -> Option<(&Arc<Provider>, &Model)> {
        let provider = self.providers.get(&model.provider)?;
        let found = provider.models.iter().find(|it| it.id == model.model)?;
        Some((provider, found))
    }

    /// Describes every model, the primary first.
    #[must_use]
    pub(super) fn describe(&self) -> Vec<Description> {
        self.list().into_iter().filter_map(|(name, _)| self.describe_one(&name)).collect()
    }

    /// Describes one; `None` if it does not exist.
    #[must_use]
    pub(super) fn describe_one(&self, name: &ModelRef) -> Option<Description> {
        let (provider, model) = self.get(name)?;
        Some(Description {
            name: name.clone(),
            context_window: provider.context_window(model),
            capabilities: provider.capabilities(model),
            answers: provider.answers(),
        })
    }

    /// Whether a bare name may mean a model of this provider. Models of a confidential chain must be named in full.
    fn is_ours(&self, provider: &str) -> bool {
        self.providers.get(provider).is_none_or(|provider| !provider.confidential)
    }

    /// The model that `confidential/NAME` means: the first of the deployment of that name, or the only one with that
    /// id.
    fn find_confidential(&self, asked: &str) -> Option<ModelRef> {
        let deployments = self.providers.iter().filter(|(_, provider)| provider.confidential);
        let deployments = deployments.map(|(name, it)| (name.as_str(), it.models.as_slice()));
        openclaw::find_confidential(asked, deployments)
    }

    /// Checks the health of nodes that were unhealthy, and of all nodes of providers with several.
    pub(super) async fn probe(&self) {
        let asked = self.providers.values().flat_map(|provider| {
            let choice = provider.nodes.len() > 1;
            provider.nodes.iter().filter(move |node| choice || node.is_unwell())
        });
        stream::iter(asked).for_each_concurrent(CHECKS, |node| node.probe()).await;
    }

    /// Asks backends for context sizes and capabilities that are not in the settings; with `again` also those that have
    /// answered before.
    pub(super) async fn learn(&self, again: bool) {
        join_all(self.providers.values().map(|provider| provider.learn(again))).await;
    }

    /// Whether a backend is ready now.
    pub(super) async fn ready(&self) -> bool {
        let nodes = self.providers.values().flat_map(|provider| &provider.nodes);
        let checks = stream::iter(nodes).map(|node| node.check(Duration::ZERO));
        let mut ready = checks
            .buffer_unordered(CHECKS)
            .filter(|found| std::future::ready(found.is_ready()))
            .boxed();
        ready.next().await.is_some()
    }
}
