//! Opens the providers that the settings describe.

use std::{path::Path, sync::Arc};

use ai_gateway_api::settings::gateway;
use llm_backend::{Backend, Error, Ollama, OpenAiCompatible, Settings};

use super::{
    confidential::{self, FileStores, Pinned},
    node::Node,
    provider::Provider,
    settings::settings,
};
use crate::{
    breaker::Breaker,
    openclaw::{self, Api, Model},
};

/// Opens the provider that `openclaw.json` describes, each node with a breaker; UNIX sockets and files are below
/// `root`.
pub(super) fn open(
    name: &str,
    provider: &openclaw::Provider,
    breaker: gateway::Breaker,
    pinned: &Pinned<'_>,
    stores: &mut FileStores,
    root: &Path,
) -> Result<Provider, Error> {
    if provider.api == Api::Confidential {
        return confidential::open(name, provider, breaker, pinned, stores, root);
    }
    let node = |node: &openclaw::Node| {
        let settings = settings(root, node, provider.timeouts);
        let health = provider.timeouts.health;
        let made = Node::new(&node.base_url, backend(settings, provider)?);
        Ok(made.with(node.slots, node.draining, health).spared_by(Breaker::new(breaker)))
    };
    let nodes = provider.nodes.iter().map(node).collect::<Result<_, Error>>()?;
    Ok(Provider::new(nodes, provider.models.clone()))
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
