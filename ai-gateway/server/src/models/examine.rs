//! Checks of the servers behind the models, for the admin.

use ai_gateway_api::providers::{Condition, ProviderNode};
use chassis::failure::Failure;
use futures_util::{StreamExt as _, stream};
use llm_backend::{Error, Health};

use super::{
    catalog::{CHECKS, Catalog},
    node::Node,
};

impl Catalog {
    /// Checks each node's health now, and lists its models if it is healthy, so that a wrong key is noticed. In the
    /// order of the settings.
    pub(super) async fn examine(&self) -> Vec<ProviderNode> {
        let nodes = self.providers.iter().flat_map(|(name, provider)| {
            provider.nodes.iter().map(move |node| async move {
                let (condition, trouble) = examine(node).await;
                let (provider, node) = (name.clone(), node.name().to_owned());
                ProviderNode { provider, node, condition, trouble }
            })
        });
        // Collected first, because a handler needs a stream without borrowed closures.
        stream::iter(nodes.collect::<Vec<_>>()).buffered(CHECKS).collect().await
    }
}

async fn examine(node: &Node) -> (Condition, Option<String>) {
    let asked = match node.ask_health().await {
        // Health needs no key; listing models often does.
        Ok(Health::Ready) => match node.ask_models().await {
            Err(error @ Error::Refused { status: 401 | 403 | 407, .. }) => Err(error),
            Ok(()) | Err(_) => Ok(Health::Ready),
        },
        asked => asked,
    };
    match asked {
        // The settings drain it, whatever it reports.
        Ok(_) if node.is_drained() => (Condition::Draining, None),
        Ok(Health::Ready | Health::Standby) => (Condition::Ready, None),
        Ok(Health::Loading) => (Condition::Loading, None),
        Ok(Health::Draining) => (Condition::Draining, None),
        Err(error) => (condition(&error), Some(Failure::of(&error).failure)),
    }
}

fn condition(error: &Error) -> Condition {
    if matches!(error, Error::Refused { .. }) {
        return Condition::Refusing;
    }
    if error.is_settings_fault() { Condition::Unusable } else { Condition::Silent }
}
