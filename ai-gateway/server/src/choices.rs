//! The models that were chosen for rooms or conversations, in memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::sealed::SessionName;
use mesh_identity::Person;

/// Choices that are kept.
const CHOICES: usize = 256;

/// The chosen models, the last choice last.
#[derive(Debug)]
pub(crate) struct ModelChoices<K>(Mutex<VecDeque<(K, String)>>);

impl<K> Default for ModelChoices<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + PartialEq> ModelChoices<K> {
    /// The model that was chosen; `None` is the household's AI.
    #[must_use]
    pub(crate) fn of(&self, key: &K) -> Option<String> {
        self.lock().iter().find(|(id, _)| id == key).map(|(_, model)| model.clone())
    }

    /// Sets the model. The oldest choice is forgotten if there are too many.
    pub(crate) fn set(&self, key: &K, model: Option<String>) {
        let mut choices = self.lock();
        choices.retain(|(id, _)| id != key);
        choices.extend(model.map(|model| (key.clone(), model)));
        if choices.len() > CHOICES {
            choices.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(K, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The models that people have chosen for their sessions. Nobody's choices displace another person's.
#[derive(Debug, Default)]
pub(crate) struct SessionModels(Mutex<HashMap<Person, Arc<ModelChoices<SessionName>>>>);

impl SessionModels {
    /// The choices of a person.
    #[must_use]
    pub(crate) fn of(&self, person: &Person) -> Arc<ModelChoices<SessionName>> {
        let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(people.entry(person.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::rooms::Id;

    use super::*;

    #[test]
    fn each_room_has_its_choice_and_the_oldest_are_forgotten() {
        let choices = ModelChoices::default();
        let id = |n: usize| -> Id { format!("!{n}").parse().unwrap() };
        for n in 0..CHOICES {
            choices.set(&id(n), Some(format!("p/{n}")));
        }
        choices.set(&id(0), Some("p/new".to_owned()));
        choices.set(&id(CHOICES), Some("p/last".to_owned()));
        assert_eq!(choices.of(&id(0)).as_deref(), Some("p/new"));
        assert_eq!(choices.of(&id(1)), None, "the oldest choice");
        assert_eq!(choices.of(&id(2)).as_deref(), Some("p/2"));
        choices.set(&id(2), None);
        assert_eq!(choices.of(&id(2)), None);
    }

    #[test]
    fn nobodys_choices_displace_another_persons() {
        let models = SessionModels::default();
        let session = |n: usize| -> SessionName { format!("{n}").parse().unwrap() };
        models.of(&Person::User(1)).set(&session(0), Some("p/one".to_owned()));
        for n in 0..2 * CHOICES {
            models.of(&Person::User(2)).set(&session(n), Some("p/two".to_owned()));
        }
        assert_eq!(models.of(&Person::User(1)).of(&session(0)).as_deref(), Some("p/one"));
        assert_eq!(models.of(&Person::User(2)).of(&session(0)), None);
    }
}
