//! What the participant remembers of rooms while it runs: recent messages, questions that wait, and its last replies.
//!
//! All of it is bounded: [`ROOMS`] rooms, and in each [`RECENT`] messages of [`RECENT_BYTES`] together, [`WAITING`] questions and
//! [`REPLIES`] replies.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ai_gateway_api::rooms::{RecentMessage, Sender};
use ruma::{OwnedRoomId, RoomId};
use tokio::sync::Notify;

use crate::judge::Message;

/// Most rooms; the one that was quiet the longest is forgotten.
pub const ROOMS: usize = 128;
/// Most recent messages of a room.
pub const RECENT: usize = 20;
/// Most bytes of them.
pub const RECENT_BYTES: usize = 32 << 10;
/// Most questions of a room that wait.
pub const WAITING: usize = 4;
/// Last replies of a room, which can be made again.
pub const REPLIES: usize = 2;

/// A message to be answered.
#[derive(Clone, Debug)]
pub struct Question {
    /// The message.
    pub message: Message,
    /// Whether it mentions the AI or replies to it.
    pub is_called: bool,
    /// Which reply to it this is, from 0.
    pub attempt: u32,
    /// The message that is edited, if this is not the first reply.
    pub answer: Option<String>,
}

/// A reply in progress.
#[derive(Debug)]
pub struct Running {
    question: Question,
    /// The message in which it is, once it is there.
    answer: Mutex<Option<String>>,
    is_stopped: AtomicBool,
    stop: Notify,
}

impl Running {
    fn new(question: &Question) -> Self {
        Self {
            question: question.clone(),
            answer: Mutex::default(),
            is_stopped: AtomicBool::default(),
            stop: Notify::new(),
        }
    }

    /// Notes the message in which it is.
    pub fn set_answer(&self, event: &str) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.to_owned());
    }

    /// Stops it.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.stop.notify_one();
    }

    /// Returns once it is stopped.
    pub async fn stopped(&self) {
        while !self.is_stopped.load(Ordering::Relaxed) {
            self.stop.notified().await;
        }
    }

    fn is_in(&self, event: &str) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(event)
    }
}

#[derive(Debug, Default)]
struct Room {
    recent: VecDeque<RecentMessage>,
    waiting: VecDeque<Question>,
    running: Option<Arc<Running>>,
    /// Whether a task answers the questions that wait.
    is_busy: bool,
    replies: VecDeque<(String, Question)>,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<OwnedRoomId, Room>,
    clock: u64,
}

/// The rooms.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<State>);

impl Rooms {
    /// Notes a message.
    pub fn note(&self, room: &RoomId, message: RecentMessage) {
        let mut state = self.state();
        let recent = &mut state.room(room).recent;
        recent.retain(|known| known.event_id != message.event_id);
        recent.push_back(message);
        let size = |recent: &VecDeque<RecentMessage>| -> usize {
            recent.iter().map(|message| message.text.len()).sum()
        };
        while recent.len() > RECENT || (size(recent) > RECENT_BYTES && recent.len() > 1) {
            recent.pop_front();
        }
    }

    /// Messages of a room before this one.
    #[must_use]
    pub fn before(&self, room: &RoomId, event: &str) -> Vec<RecentMessage> {
        let mut state = self.state();
        let recent = state.room(room).recent.iter();
        recent.take_while(|message| message.event_id.as_str() != event).cloned().collect()
    }

    /// Puts a question in the queue of its room.
    pub fn ask(&self, room: &RoomId, question: Question) -> QueueOutcome {
        let mut state = self.state();
        let room = state.room(room);
        if room.waiting.len() >= WAITING {
            return QueueOutcome::Full;
        }
        room.waiting.push_back(question);
        if std::mem::replace(&mut room.is_busy, true) {
            QueueOutcome::Waits
        } else {
            QueueOutcome::Starts
        }
    }

    /// The next question of a room, and its reply; `None` if there is none, and the room is idle from now on.
    #[must_use]
    pub fn next(&self, room: &RoomId) -> Option<(Question, Arc<Running>)> {
        let mut state = self.state();
        let room = state.room(room);
        let question = room.waiting.pop_front();
        let running = question.as_ref().map(|question| Arc::new(Running::new(question)));
        room.running.clone_from(&running);
        room.is_busy = running.is_some();
        question.zip(running)
    }

    /// Notes a reply that ended, so that another one can be asked for.
    pub fn replied(&self, room: &RoomId, answer: String, question: Question) {
        let mut state = self.state();
        let replies = &mut state.room(room).replies;
        replies.retain(|(known, _)| *known != answer);
        replies.push_back((answer, question));
        while replies.len() > REPLIES {
            replies.pop_front();
        }
    }

    /// The next attempt at the reply in this message, if it is one of the last, or the one in progress: what people see as
    /// its end comes before it is noted.
    #[must_use]
    pub fn again(&self, room: &RoomId, answer: &str) -> Option<Question> {
        let mut state = self.state();
        let room = state.room(room);
        let ended = room.replies.iter().find(|(known, _)| known == answer);
        let running = room.running.as_ref().filter(|running| running.is_in(answer));
        // The one in progress is the later attempt.
        let running = running.map(|running| &running.question);
        let question = running.or_else(|| ended.map(|(_, question)| question))?;
        let attempt = question.attempt.checked_add(1)?;
        Some(Question { attempt, answer: Some(answer.to_owned()), ..question.clone() })
    }

    /// Stops the reply in progress, if it is in this message; any for `None`.
    pub fn stop(&self, room: &RoomId, answer: Option<&str>) {
        let mut state = self.state();
        let running = state.room(room).running.as_ref();
        if let Some(running) = running.filter(|it| answer.is_none_or(|answer| it.is_in(answer))) {
            running.stop();
        }
    }

    /// Forgets a room. Its reply in progress is stopped.
    pub fn forget(&self, room: &RoomId) {
        let gone = self.state().rooms.remove(room);
        if let Some(running) = gone.and_then(|room| room.running) {
            running.stop();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOutcome {
    /// The caller has to start answering this room's questions.
    Starts,
    /// It is answered after others.
    Waits,
    /// Too many wait.
    Full,
}

impl State {
    /// A room, which is the one that was used last now.
    fn room(&mut self, id: &RoomId) -> &mut Room {
        self.clock += 1;
        let is_full = !self.rooms.contains_key(id) && self.rooms.len() >= ROOMS;
        let idle = self.rooms.iter().filter(|(_, room)| !room.is_busy);
        let oldest = idle.min_by_key(|(_, room)| room.used).map(|(id, _)| id.clone());
        if let Some(oldest) = oldest.filter(|_| is_full) {
            self.rooms.remove(&oldest);
        }
        let room = self.rooms.entry(id.to_owned()).or_default();
        room.used = self.clock;
        room
    }
}

/// A message as the gateway takes it; `None` if an id is none.
#[must_use]
pub fn recent(message: &Message, name: &str) -> Option<RecentMessage> {
    Some(RecentMessage {
        event_id: message.event.as_str().parse().ok()?,
        sender: Sender { id: message.sender.as_str().parse().ok()?, name: name.to_owned() },
        own: false,
        text: message.text.clone(),
        sent_at: message.sent_at,
    })
}

#[cfg(test)]
mod tests;
