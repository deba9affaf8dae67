//! Sessions that are named by another and the time: the former conversation of one that begins anew, and copies.

use ai_gateway_api::sealed::{Branch, SessionName};
use conversations::Error;
use mesh_identity::Person;

use super::{NotKept, OperationError, Sessions, names::dated_names};

impl Sessions {
    /// Gives a session a name with the time, so that the next message begins a new one; returns the name. `None`: there was
    /// no such session, or it had no message.
    pub(crate) async fn set_aside(
        &self,
        person: &Person,
        session: &SessionName,
    ) -> Result<Option<SessionName>, NotKept> {
        let conversations = self.opened().await?;
        if conversations.delete_empty(person, session.as_str()).await? {
            return Ok(None);
        }
        for to in dated_names(session) {
            match conversations.rename(person, session.as_str(), to.as_str()).await {
                Ok(()) => return Ok(Some(to)),
                Err(Error::Missing) => return Ok(None),
                Err(Error::Taken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NotKept::Unavailable)
    }

    /// Copies the messages of a session below a number to a new one; returns its name.
    pub(crate) async fn branch_dated(
        &self,
        person: &Person,
        session: &SessionName,
        before: u64,
    ) -> Result<SessionName, OperationError> {
        for to in dated_names(session) {
            let branch = Branch { session: session.clone(), before, to: to.clone() };
            match self.branch(person, &branch).await {
                Ok(()) => return Ok(to),
                Err(OperationError::Taken) => {}
                Err(error) => return Err(error),
            }
        }
        Err(OperationError::Taken)
    }
}
