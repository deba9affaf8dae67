//! The models that were chosen for rooms, in memory.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

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
}
