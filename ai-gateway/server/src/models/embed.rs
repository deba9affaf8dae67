//! Vectors of texts.

use std::time::Instant;

use llm_backend::{EmbedRequest, Embeddings};

use super::{Chain, Failure, report};
use crate::openclaw::ModelRef;

impl Chain {
    /// Makes a vector of each text, with the first model alone: another one's vectors mean something else.
    ///
    /// # Errors
    ///
    /// [`Failure::Down`] if it does not answer, [`Failure::Unsupported`], [`Failure::TooLong`] or
    /// [`Failure::Refused`] if it refuses the request.
    pub async fn embed(
        &self,
        input: Vec<String>,
        dimensions: Option<u32>,
    ) -> Result<(ModelRef, Embeddings), Failure> {
        let Some(candidate) = self.candidates.first() else {
            return Err(Failure::Down(Vec::new()));
        };
        let (name, provider) = (&candidate.name, &candidate.provider);
        let down = || Failure::Down(vec![name.to_string()]);
        if !provider.breaker.allow(Instant::now()) {
            return Err(down());
        }
        let request = EmbedRequest { model: name.model.clone(), input, dimensions };
        match provider.backend.embed(request).await {
            Ok(made) => {
                provider.breaker.succeed();
                Ok((name.clone(), made))
            }
            Err(error) => {
                report(name, &error);
                provider.judge(&error);
                let failure = Failure::from(error);
                Err(if matches!(failure, Failure::Down(_)) { down() } else { failure })
            }
        }
    }
}
