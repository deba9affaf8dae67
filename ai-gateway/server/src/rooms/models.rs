//! The models that rooms have chosen, in memory.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::rooms::Id;

/// Rooms whose choice is kept.
const ROOMS: usize = 256;

/// The chosen models, the last choice last.
#[derive(Debug, Default)]
pub(crate) struct ModelChoices(Mutex<VecDeque<(Id, String)>>);

impl ModelChoices {
    /// The room's model; `None` is the household's AI.
    #[must_use]
    pub(crate) fn of(&self, room: &Id) -> Option<String> {
        self.lock().iter().find(|(id, _)| id == room).map(|(_, model)| model.clone())
    }

    /// Sets the room's model. The oldest choice of another room is forgotten if there are too many.
    pub(crate) fn set(&self, room: &Id, model: Option<String>) {
        let mut choices = self.lock();
        choices.retain(|(id, _)| id != room);
        choices.extend(model.map(|model| (room.clone(), model)));
        if choices.len() > ROOMS {
            choices.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Id, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_has_its_choice_and_the_oldest_are_forgotten() {
        let choices = ModelChoices::default();
        let id = |n: usize| -> Id { format!("!{n}").parse().unwrap() };
        for n in 0..ROOMS {
            choices.set(&id(n), Some(format!("p/{n}")));
        }
        choices.set(&id(0), Some("p/new".to_owned()));
        choices.set(&id(ROOMS), Some("p/last".to_owned()));
        assert_eq!(choices.of(&id(0)).as_deref(), Some("p/new"));
        assert_eq!(choices.of(&id(1)), None, "the oldest choice");
        assert_eq!(choices.of(&id(2)).as_deref(), Some("p/2"));
        choices.set(&id(2), None);
        assert_eq!(choices.of(&id(2)), None);
    }
}
