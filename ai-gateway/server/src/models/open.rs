//! Opens the providers that the settings describe.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ai_gateway_api::settings::gateway;
use llm_backend::{Backend, Error, Ollama, OpenAiCompatible, Settings};

use super::{confidential::Pins, node::Node, provider::Provider, settings::settings};
use crate::{
    breaker::Breaker,
    openclaw::{self, Api, Model},
};

/// Opens providers; UNIX sockets and files are below `root`.
#[derive(Debug)]
pub(crate) struct Opener {
    root: PathBuf,
    breaker: gateway::Breaker,
    pins: Pins,
}

impl Opener {
    /// Opens providers with the settings of `gateway.toml`; the gateway's state is in the folder `state`.
    #[must_use]
    pub(crate) fn new(config: &gateway::Settings, state: &Path, root: &Path) -> Self {
        let pins = Pins::new(config.confidential.clone(), state.to_owned());
        Self { root: root.to_owned(), breaker: config.breaker, pins }
    }

    /// Opens the provider that `openclaw.json` describes, each node with a breaker.
    pub(super) fn open(
        &self,
        name: &str,
        provider: &openclaw::Provider,
    ) -> Result<Provider, Error> {
        if provider.api == Api::Confidential {
            return self.pins.open(name, provider, self.breaker, &self.root);
        }
        let node = |node: &openclaw::Node| {
            let settings = settings(&self.root, node, provider.timeouts);
            let health = provider.timeouts.health;
            let made = Node::new(&node.base_url, backend(settings, provider)?);
            let made = made.with(node.slots, node.draining, health);
            Ok(made.spared_by(Breaker::new(self.breaker)))
        };
        let nodes = provider.nodes.iter().map(node).collect::<Result<_, Error>>()?;
        Ok(Provider::new(nodes, provider.models.clone()))
    }
}

/// The client for the provider's API.
fn backend(settings: Settings, provider: &openclaw::Provider) -> Result<Arc<dyn Backend>, Error> {
    Ok(match provider.api {
        Api::OpenAi => Arc::new(OpenAiCompatible::new(settings)?),
        Api::Ollama => {
            let context = |model: &Model| Some((model.id.clone(), model.context_window?));
            let contexts = provider.models.iter().filter_map(context).collect();
            Arc::new(Ollama::new(settings, contexts)?)
        }
        // It needs several connections; see `confidential::open`.
        Api::Confidential => {
            let reason = "the confidential chain is opened as a whole";
            return Err(Error::Address { url: settings.base_url, reason });
        }
    })
}
