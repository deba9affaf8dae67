//! A turn that a session gets.

use ai_gateway_api::sealed::SessionName;
use chat_vocabulary::Role;
use conversations::Message;
use mesh_identity::Person;

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
    pub(crate) fn answered(self, reply: String) -> CompletedTurn {
        let Self { person, session, question } = self;
        let messages = [
            Message { role: Role::User, text: question },
            Message { role: Role::Assistant, text: reply },
        ];
        CompletedTurn { person, session, messages }
    }
}

/// A question and its whole reply.
#[derive(Clone, Debug)]
pub(crate) struct CompletedTurn {
    pub(super) person: Person,
    pub(super) session: SessionName,
    pub(super) messages: [Message; 2],
}
