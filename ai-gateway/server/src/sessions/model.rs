//! The model that a person chose for a session.

use ai_gateway_api::sealed::SessionName;
use mesh_identity::Person;

use super::{NotKept, Sessions};
use crate::now_ms;

impl Sessions {
    /// The chosen model. `None` is the household's AI, which also answers while nothing can be read.
    pub(crate) async fn model(&self, person: &Person, session: &SessionName) -> Option<String> {
        let conversations = self.opened().await.ok()?;
        let model = conversations.model(person, session.as_str()).await;
        // It logs what the admin has to see.
        model.map_err(NotKept::from).ok().flatten()
    }

    /// Chooses a model, or the household's AI. A session that is not there begins, without a message.
    pub(crate) async fn choose_model(
        &self,
        person: &Person,
        session: &SessionName,
        model: Option<&str>,
    ) -> Result<(), NotKept> {
        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let conversations = self.opened().await?;
        Ok(conversations.choose_model(person, session.as_str(), model, now).await?)
    }
}
