//! Conversations, kept in memory: each belongs to one person.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::{sealed::SessionName, settings::gateway::Limits};
use chat_vocabulary::Message;
use mesh_identity::Person;

use crate::arena;

/// A person and the name of their session.
type Key = (Person, SessionName);

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    per_person: usize,
    session_bytes: usize,
    total_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<Key, Session>,
    /// By time of last use.
    uses: BTreeMap<u64, Key>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug, Default)]
struct Session {
    messages: Vec<Message>,
    bytes: usize,
    used: u64,
}

impl Sessions {
    /// Empty, with these limits.
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            per_person: limits.sessions_per_person,
            session_bytes: limits.session_bytes,
            total_bytes: limits.sessions_bytes,
            inner: Mutex::default(),
        }
    }

    /// The messages of one person's session, oldest first.
    #[must_use]
    pub(crate) fn history(&self, person: &Person, name: &SessionName) -> Vec<Message> {
        let mut inner = self.lock();
        let key = (person.clone(), name.clone());
        inner.touch(&key);
        arena::locked(|_| {
            inner.sessions.get(&key).map(|it| it.messages.clone()).unwrap_or_default()
        })
    }

    /// Appends a question and its answer. To make room it removes the session's oldest messages, then the person's
    /// oldest session, then the oldest session of the person with the most text.
    pub(crate) fn append(&self, person: &Person, name: &SessionName, turn: [Message; 2]) {
        let mut inner = self.lock();
        let key = (person.clone(), name.clone());
        let added: usize = turn.iter().map(cost).sum();
        let session = inner.sessions.entry(key.clone()).or_default();
        session.bytes += added;
        arena::locked(|_| session.messages.extend(turn));
        let mut removed = 0;
        while session.bytes - removed > self.session_bytes && !session.messages.is_empty() {
            let turn = session.messages.len().min(2);
            removed += session.messages.drain(..turn).map(|message| cost(&message)).sum::<usize>();
        }
        session.bytes -= removed;
        inner.bytes = inner.bytes + added - removed;
        inner.touch(&key);
        inner.evict(person, self.per_person, self.total_bytes);
    }

    /// Removes one person's session.
    pub(crate) fn clear(&self, person: &Person, name: &SessionName) {
        self.lock().remove(&(person.clone(), name.clone()));
    }

    /// Number of sessions, and their text in bytes.
    #[must_use]
    pub(crate) fn size(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.sessions.len(), inner.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Records that a session is used now.
    fn touch(&mut self, key: &Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        self.uses.remove(&session.used);
        self.clock += 1;
        session.used = self.clock;
        self.uses.insert(self.clock, key.clone());
    }

    fn remove(&mut self, key: &Key) {
        if let Some(session) = self.sessions.remove(key) {
            self.uses.remove(&session.used);
            self.bytes -= session.bytes;
        }
    }

    fn evict(&mut self, person: &Person, per_person: usize, total_bytes: usize) {
        let own = |inner: &Self| -> Vec<Key> {
            inner.uses.values().filter(|(whose, _)| whose == person).cloned().collect()
        };
        for key in own(self).iter().rev().skip(per_person) {
            self.remove(key);
        }
        while self.bytes > total_bytes {
            let heaviest = self.heaviest();
            let oldest = self.uses.values().find(|(whose, _)| Some(whose) == heaviest.as_ref());
            let Some(oldest) = oldest.cloned() else {
                return;
            };
            self.remove(&oldest);
        }
    }

    /// The person with the most text.
    fn heaviest(&self) -> Option<Person> {
        let mut held: BTreeMap<&Person, usize> = BTreeMap::new();
        for ((whose, _), session) in &self.sessions {
            *held.entry(whose).or_default() += session.bytes;
        }
        held.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(whose, _)| whose.clone())
    }
}

/// Approximate memory of a message.
fn cost(message: &Message) -> usize {
    message.size() + size_of::<Message>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(&Limits {
            sessions_per_person: 3,
            session_bytes: 1000,
            sessions_bytes: 4000,
            ..Limits::default()
        })
    }

    fn name(text: &str) -> SessionName {
        text.parse().unwrap()
    }

    fn turn(text: &str) -> [Message; 2] {
        [Message::user(text), Message::assistant(text)]
    }

    #[test]
    fn one_person_sees_nothing_of_anothers_session_of_the_same_name() {
        let sessions = sessions();
        sessions.append(&Person::User(1), &name("main"), turn("ada's"));
        assert_eq!(sessions.history(&Person::User(1), &name("main")), turn("ada's"));
        assert_eq!(sessions.history(&Person::User(2), &name("main")), []);
        sessions.append(&Person::User(2), &name("main"), turn("bob's"));
        sessions.clear(&Person::User(2), &name("main"));
        assert_eq!(sessions.history(&Person::User(1), &name("main")), turn("ada's"));
    }

    #[test]
    fn the_oldest_messages_go_first() {
        let sessions = sessions();
        for text in ["one", "two", "three"] {
            sessions.append(&Person::User(1), &name("main"), turn(&text.repeat(50)));
        }
        let history = sessions.history(&Person::User(1), &name("main"));
        assert_eq!(history.last().unwrap().content.text(), "three".repeat(50));
        assert!(history.len() < 6, "{}", history.len());
        assert_eq!(history[0].role, chat_vocabulary::Role::User);
    }

    #[test]
    fn the_session_not_used_for_longest_goes_first() {
        let sessions = sessions();
        for text in ["a", "b", "c"] {
            sessions.append(&Person::User(1), &name(text), turn(text));
        }
        let _ = sessions.history(&Person::User(1), &name("a"));
        sessions.append(&Person::User(1), &name("d"), turn("d"));
        assert_eq!(sessions.history(&Person::User(1), &name("b")), []);
        assert_eq!(sessions.history(&Person::User(1), &name("a")), turn("a"));
    }

    #[test]
    fn a_person_with_much_text_evicts_only_their_own_sessions() {
        let sessions = sessions();
        sessions.append(&Person::User(1), &name("main"), turn(&"a".repeat(100)));
        for text in ["a", "b", "c"] {
            sessions.append(&Person::User(2), &name(text), turn(&"b".repeat(350)));
        }
        sessions.append(&Person::User(3), &name("main"), turn(&"c".repeat(350)));

        assert!(sessions.lock().bytes > 2900, "some sessions were evicted, not all");
        assert_eq!(sessions.history(&Person::User(2), &name("a")), []);
        assert_ne!(sessions.history(&Person::User(1), &name("main")), []);
        assert_ne!(sessions.history(&Person::User(3), &name("main")), []);
    }

    proptest! {
        /// The limits hold, and the recorded total is right, after any sequence of messages.
        #[test]
        fn bounds_hold(steps in prop::collection::vec((0..4_u8, 0..6_u8, 0..1500_usize, any::<bool>()), 0..60)) {
            let sessions = sessions();
            for (person, session, length, clear) in steps {
                let (person, name) = (Person::User(person.into()), name(&format!("s{session}")));
                if clear { sessions.clear(&person, &name) } else { sessions.append(&person, &name, turn(&"x".repeat(length))) }
                let inner = sessions.lock();
                prop_assert!(inner.bytes <= 4000);
                prop_assert_eq!(inner.bytes, inner.sessions.values().map(|it| it.messages.iter().map(cost).sum::<usize>()).sum::<usize>());
                prop_assert_eq!(inner.uses.len(), inner.sessions.len());
                let own = inner.sessions.keys().filter(|(whose, _)| *whose == person).count();
                prop_assert!(own <= 3);
            }
        }
    }
}
