//! The model that a person chose for a session.

use ai_gateway_api::sealed::SessionName;
use mesh_identity::Person;

use super::{NotKept, Sessions, choosers::UnknownModel};
use crate::now_ms;

impl Sessions {
    /// The chosen model. `None` is the household's AI, which also answers who chose nothing while nothing can be read; and
    /// everybody if nothing could be read since the start.
    ///
    /// # Errors
    ///
    /// The person chose a model for one of their sessions, and which it is for this one cannot be read.
    pub(crate) async fn model(
        &self,
        person: &Person,
        session: &SessionName,
    ) -> Result<Option<String>, UnknownModel> {
        let read = async {
            // It logs what the admin has to see.
            Ok(self.opened().await?.model(person, session.as_str()).await?)
        };
        match read.await {
            Err(reason) if self.choosers.has(person) => Err(UnknownModel(reason)),
            Err::<_, NotKept>(_) => Ok(None),
            Ok(model) => Ok(model),
        }
    }

    /// Whether it is known who chose a model.
    pub(crate) fn knows_choosers(&self) -> bool {
        self.choosers.are_known()
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
        if model.is_some() {
            self.choosers.add(person);
        }
        Ok(conversations.choose_model(person, session.as_str(), model, now).await?)
    }
}
