//! A mark in each prompt, so that a model server's cache of prompts tells nobody what another asked.
//!
//! A model server answers sooner where a prompt begins as one that it has read before. Whoever guesses such a beginning would learn
//! by the time of the answer that somebody asked it. So a mark stands between what is in everybody's prompts and the rest. Nobody
//! but the gateway can make it; it is the same from turn to turn, and another one for each person and conversation, so that
//! neither does it tell a server which conversations are one person's.

use chat_vocabulary::{Message, Role};
use mesh_identity::Person;
use sha2::{Digest as _, Sha256};

/// Bytes of a mark: more than anybody can try.
const LENGTH: usize = 8;

/// Makes marks. `Debug` prints no key.
pub(crate) struct PromptMarks {
    key: [u8; 32],
}

impl std::fmt::Debug for PromptMarks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptMarks").finish_non_exhaustive()
    }
}

impl PromptMarks {
    /// Makes marks under a secret key.
    #[must_use]
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The mark of a person's conversation, as a line of a prompt.
    #[must_use]
    pub(crate) fn line(&self, person: &Person, conversation: &str) -> String {
        let person = person.to_string();
        let digest = Sha256::new_with_prefix(self.key)
            .chain_update((person.len() as u64).to_be_bytes())
            .chain_update(person)
            .chain_update(conversation)
            .finalize();
        let (mark, _) = digest.split_at(LENGTH);
        format!("<!-- {} -->\n", hex::encode(mark))
    }
}

/// What tells a conversation, which the gateway does not keep, from others: its first question.
#[must_use]
pub(super) fn first_question(messages: &[Message]) -> String {
    let first = messages.iter().find(|message| message.role == Role::User);
    first.map(|message| message.content.text().into_owned()).unwrap_or_default()
}
