//! A turn that a session gets.

use ai_gateway_api::sealed::SessionName;
use chat_vocabulary::Role;
use conversations::Message;
use mesh_identity::Person;

use super::{NotKept, Sessions};
use crate::now_ms;

/// A question, and the session that it and its reply are added to.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) person: Person,
    pub(crate) session: SessionName,
    pub(crate) question: String,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("person", &self.person).finish_non_exhaustive()
    }
}

impl Record {
    /// The turn with its reply.
    pub(crate) fn answered(self, reply: String) -> Turn {
        let Self { person, session, question } = self;
        let messages = [
            Message { role: Role::User, text: question },
            Message { role: Role::Assistant, text: reply },
        ];
        Turn { person, session, messages }
    }
}

/// A question and its whole reply.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    person: Person,
    session: SessionName,
    messages: [Message; 2],
}

impl Sessions {
    /// Appends a turn. Once this returns, it is on the disk.
    pub(crate) async fn append(&self, turn: &Turn) -> Result<(), NotKept> {
        let Turn { person, session, messages } = turn;
        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        self.opened().await?.append(person, session.as_str(), messages, now).await?;
        Ok(())
    }
}
