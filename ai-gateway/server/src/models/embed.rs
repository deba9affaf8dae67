//! Vectors of texts.

use llm_backend::{EmbedRequest, Embeddings};

use super::{chain::Chain, failure::Failure, nodes::AffinityKey, provider::ProviderError};
use crate::openclaw::ModelRef;

impl Chain {
    /// Makes a vector of each text, with the first model alone: another one's vectors mean something else.
    ///
    /// # Errors
    ///
    /// [`Failure::Down`], [`Failure::Busy`] or [`Failure::Unusable`] if no node of it answers, [`Failure::Unsupported`], [`Failure::TooLong`] or
    /// [`Failure::Refused`] if it refuses the request.
    pub async fn embed(
        &self,
        input: Vec<String>,
        dimensions: Option<u32>,
    ) -> Result<(ModelRef, Embeddings), Failure> {
        let Some(candidate) = self.candidates.first() else {
            return Err(Failure::Down(Vec::new()));
        };
        let name = &candidate.name;
        let request = EmbedRequest { model: name.model.clone(), input, dimensions };
        let made = candidate
            .provider
            .ask(name, AffinityKey::default(), request, |node, it| node.embed(it))
            .await;
        match made {
            Ok(made) => Ok((name.clone(), made)),
            Err(ProviderError::Refused(failure)) => Err(failure),
            Err(ProviderError::Absent(absence)) => Err(absence.of_all(vec![name.to_string()])),
            Err(ProviderError::Untrusted(failure)) => Err(failure),
        }
    }
}
