//! What is known of each model.

use chat_vocabulary::Capability;

use super::provider::Provider;
use crate::openclaw::{Model, ModelRef};

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: ModelRef,
    /// Tokens that a conversation may hold, if known.
    pub context_window: Option<u32>,
    /// What it can do, as far as its backend or the settings tell.
    pub capabilities: Vec<Capability>,
    /// Whether its backend answered when it was last asked.
    pub answers: bool,
}

impl Provider {
    /// Whether a model may be asked to fill a gap. An Ollama refuses what its model cannot do; other servers leave out a
    /// suffix unseen, so the settings have to say it.
    pub(super) fn fills_gaps(&self, model: &Model) -> bool {
        let tell = self.nodes.iter().all(|node| node.backend().tells_capabilities());
        let unsaid = tell && !model.lacks(Capability::Insert);
        unsaid || model.has(Capability::Insert)
    }

    /// Whether a model sees no images, by the settings or, where they do not say it, by what its backend told. An Ollama
    /// leaves out unseen what its model does not see; what else its model lacks it refuses itself.
    pub(super) fn is_blind(&self, model: &Model) -> bool {
        let told = || self.told(model).and_then(|info| info.capabilities);
        let unseen = || told().is_some_and(|it| !it.contains(&Capability::Vision));
        model.lacks(Capability::Vision) || (!model.has(Capability::Vision) && unseen())
    }

    /// What the settings say, and for the rest what the backend told.
    pub(super) fn capabilities(&self, model: &Model) -> Vec<Capability> {
        let told = self.told(model).and_then(|info| info.capabilities);
        let mut all = told.unwrap_or_else(|| vec![Capability::Completion]);
        for capability in
            [Capability::Tools, Capability::Insert, Capability::Vision, Capability::Thinking]
        {
            if model.has(capability) && !all.contains(&capability) {
                all.push(capability);
            }
        }
        all.retain(|&capability| !model.lacks(capability));
        all
    }
}
