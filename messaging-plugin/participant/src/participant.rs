//! The AI as a member of rooms: reads what happens there, and finds the messages that it answers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ai_gateway_api::rooms::Settings;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::Semaphore;

use crate::{
    device::{Device, DeviceError, MessageIndex},
    gateway::Gateway,
    homeserver::{CallError, Homeserver, room_path, segment},
    judge::{self, Message, Reaction, RoomView},
    ledger::{Ledger, OpenReply},
    memory::{self, Question, QueueOutcome, Rooms},
    records::RecordError,
};

/// Replies at a time.
const REPLIES: usize = 8;
/// Messages whose keys have not come.
const UNREAD: usize = 64;
/// How long keys are waited for.
const KEYS: Duration = Duration::from_secs(5 * 60);

/// The participant failed; it tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// telmeet.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The keys.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The records.
    #[error(transparent)]
    Records(#[from] RecordError),
}

impl Error {
    /// Whether telmeet could not be asked now, and may be asked again.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Call(error) | Self::Device(DeviceError::Call(error)) => !error.is_final(),
            Self::Device(_) | Self::Records(_) => false,
        }
    }

    /// Whether the same room would make the same failure again, and others do not.
    fn is_of_room(&self) -> bool {
        match self {
            Self::Call(error) | Self::Device(DeviceError::Call(error)) => {
                let is_answer = matches!(error, CallError::TooLarge | CallError::Malformed);
                is_answer || error.is_final() && !error.is_signed_out()
            }
            Self::Device(DeviceError::Store(_)) | Self::Records(_) => false,
            Self::Device(_) => true,
        }
    }

    /// Whether it has to sign in again.
    #[must_use]
    pub fn is_signed_out(&self) -> bool {
        match self {
            Self::Call(error) | Self::Device(DeviceError::Call(error)) => error.is_signed_out(),
            Self::Device(_) | Self::Records(_) => false,
        }
    }
}

/// What came of an event or invitation. A failure that would come again, such as an event that cannot be taken apart, is
/// logged, so that one room does not end the AI in all others.
pub(crate) fn settle<T>(room: &RoomId, done: Result<T, Error>) -> Result<Option<T>, Error> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_of_room() => {
            tracing::warn!(%room, error = &error as &dyn std::error::Error, "an event is skipped");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A message whose key has not come.
#[derive(Debug)]
struct Unread {
    room: OwnedRoomId,
    event: Box<RawValue>,
    until: Instant,
}

/// The AI as a member of rooms.
#[derive(Debug)]
pub struct Participant {
    /// The AI.
    pub me: OwnedUserId,
    /// telmeet.
    pub homeserver: Arc<Homeserver>,
    /// Its device.
    pub device: Device,
    /// The gateway.
    pub gateway: Gateway,
    /// What it remembers across restarts.
    pub ledger: Ledger,
    pub(crate) rooms: Rooms,
    pub(crate) replying: Semaphore,
    settings: Mutex<Settings>,
    unread: Mutex<VecDeque<Unread>>,
}

impl Participant {
    /// The AI with this device.
    #[must_use]
    pub fn new(
        me: OwnedUserId,
        homeserver: Arc<Homeserver>,
        device: Device,
        gateway: Gateway,
        ledger: Ledger,
    ) -> Arc<Self> {
        Arc::new(Self {
            me,
            homeserver,
            device,
            gateway,
            ledger,
            rooms: Rooms::default(),
            replying: Semaphore::new(REPLIES),
            settings: Mutex::default(),
            unread: Mutex::default(),
        })
    }

    /// Which messages are answered.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the gateway which messages are answered, and shows the AI under its name. Without an answer the last one holds.
    pub async fn refresh_settings(&self) {
        let settings = match self.gateway.settings().await {
            Ok(settings) => settings,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no settings of rooms");
                return;
            }
        };
        let is_renamed = settings.assistant_name != self.settings().assistant_name;
        let name = settings.assistant_name.clone();
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        if is_renamed && !name.is_empty() {
            let path =
                format!("/_matrix/client/v3/profile/{}/displayname", segment(self.me.as_str()));
            if let Err(error) = self.homeserver.put(&path, json!({ "displayname": name })).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the AI's name is not set"
                );
            }
        }
    }

    /// Leaves a room, or refuses the invitation to it.
    pub(crate) async fn leave(&self, room: &RoomId) -> Result<(), Error> {
        self.rooms.forget(room);
        match self.homeserver.post(&room_path(room, "leave"), json!({})).await {
            Err(error) if !error.is_final() || error.is_signed_out() => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A room as it is now; `None` if the AI is not in it. It leaves a room with members of other networks.
    pub(crate) async fn view(&self, room: &RoomId) -> Result<Option<RoomView>, Error> {
        let state = match self.homeserver.state(room).await {
            Ok(state) => state,
            Err(CallError::TooLarge) => {
                tracing::warn!(%room, "a room's state is too large: the AI leaves it");
                self.leave(room).await?;
                return Ok(None);
            }
            Err(error) if error.is_final() && !error.is_signed_out() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut view = RoomView::read(&state, &self.me);
        if view.joined_by.is_none() {
            return Ok(None);
        }
        if !view.is_of(self.me.server_name().as_str()) {
            tracing::warn!(%room, "a room has members of another network: the AI leaves it");
            self.leave(room).await?;
            return Ok(None);
        }
        let mut note = self.ledger.room(room).await?;
        if view.is_encrypted && !note.is_encrypted {
            note.is_encrypted = true;
            self.ledger.set_room(room, &note).await?;
        }
        view.is_encrypted = note.is_encrypted;
        Ok(Some(view))
    }

    /// Takes what happened in a room.
    pub(crate) async fn handle_event(
        self: &Arc<Self>,
        room: &RoomId,
        event: &RawValue,
    ) -> Result<(), Error> {
        let Ok(value) = serde_json::from_str::<Value>(event.get()) else { return Ok(()) };
        let sender = value["sender"].as_str().and_then(|sender| UserId::parse(sender).ok());
        let Some(sender) = sender.filter(|sender| *sender != self.me) else { return Ok(()) };
        match value["type"].as_str() {
            Some("m.room.encrypted") => {
                self.device.follow(&[sender]).await?;
                if !self.read(room, event).await? {
                    let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
                    let until = Instant::now() + KEYS;
                    unread.push_back(Unread {
                        room: room.to_owned(),
                        event: event.to_owned(),
                        until,
                    });
                    while unread.len() > UNREAD {
                        unread.pop_front();
                    }
                }
                Ok(())
            }
            Some("m.room.message") => {
                // In an encrypted room anybody who controls telmeet could have written it.
                let is_encrypted = self.view(room).await?.is_none_or(|view| view.is_encrypted);
                if is_encrypted { Ok(()) } else { self.handle_text(room, &value, None).await }
            }
            Some("m.reaction") => self.handle_reaction(room, &value).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Tries messages again whose keys may have come.
    pub(crate) async fn read_again(self: &Arc<Self>) -> Result<(), Error> {
        let unread =
            std::mem::take(&mut *self.unread.lock().unwrap_or_else(PoisonError::into_inner));
        for message in unread {
            let read = self.read(&message.room, &message.event).await;
            let is_read = settle(&message.room, read)?.unwrap_or(true);
            if !is_read && message.until > Instant::now() {
                let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
                unread.push_back(message);
            }
        }
        Ok(())
    }

    /// Decrypts and handles an event; false if it cannot be read.
    async fn read(self: &Arc<Self>, room: &RoomId, event: &RawValue) -> Result<bool, Error> {
        let place = MessageIndex::read(event);
        let Some(event) = self.device.decrypt(room, event).await? else { return Ok(false) };
        let sender = event["sender"].as_str().and_then(|sender| UserId::parse(sender).ok());
        if let Some(sender) = sender {
            if self.device.is_trusted(&sender).await? {
                self.handle_text(room, &event, place).await?;
            } else {
                tracing::warn!(%sender, "a person has another identity than before: not answered");
            }
        }
        Ok(true)
    }

    /// Handles a message, which was encrypted if it has a `place`.
    async fn handle_text(
        self: &Arc<Self>,
        room: &RoomId,
        event: &Value,
        place: Option<MessageIndex>,
    ) -> Result<(), Error> {
        let Some(message) = Message::read(event, &self.me) else { return Ok(()) };
        if message.stops() {
            self.rooms.stop(room, None);
            return Ok(());
        }
        let Some(view) = self.view(room).await? else { return Ok(()) };
        let Some(name) = view.people.get(&message.sender) else { return Ok(()) };
        let Some(recent) = memory::recent(&message, name) else { return Ok(()) };
        let Ok(id) = room.as_str().parse() else { return Ok(()) };
        let settings = self.settings();
        let own_name = view.people.get(&self.me).map_or("", String::as_str);
        let is_called = message.mentions(&self.me, &[&settings.assistant_name, own_name])
            || self.is_reply_to_me(room, &message).await?;
        self.rooms.note(room, recent);
        if !judge::is_answered(&settings, &id, view.is_direct(), is_called) {
            return Ok(());
        }
        if let Some(place) = place
            && !self.ledger.claim(&place, message.event.as_str()).await?
        {
            tracing::warn!(%room, "telmeet shows a message again as another event: not answered");
            return Ok(());
        }
        self.ask(room, Question { message, is_called, attempt: 0, answer: None }).await
    }

    /// Whether a message replies to one of the AI.
    async fn is_reply_to_me(&self, room: &RoomId, message: &Message) -> Result<bool, Error> {
        let Some(event) = &message.replies_to else { return Ok(false) };
        let path = room_path(room, &format!("event/{}", segment(event)));
        match self.homeserver.get(&path).await {
            Ok(event) => Ok(event["sender"] == self.me.as_str()),
            Err(error) if error.is_final() && !error.is_signed_out() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn handle_reaction(self: &Arc<Self>, room: &RoomId, event: &Value) -> Result<(), Error> {
        match Reaction::read(event, &self.me) {
            Some(Reaction::Stop(answer)) => self.rooms.stop(room, Some(&answer)),
            Some(Reaction::Again(answer)) => {
                if let Some(question) = self.rooms.again(room, &answer) {
                    self.ask(room, question).await?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Has a message answered, unless that was begun before.
    async fn ask(self: &Arc<Self>, room: &RoomId, question: Question) -> Result<(), Error> {
        let open = OpenReply {
            room: room.to_owned(),
            question: question.message.event.to_string(),
            attempt: question.attempt,
            thread: question.message.thread.clone(),
            answer: question.answer.clone(),
            sent: 0,
            text: String::new(),
        };
        if !self.ledger.begin(&open).await? {
            return Ok(());
        }
        match self.rooms.ask(room, question) {
            QueueOutcome::Starts => {
                tokio::spawn(Arc::clone(self).answer_all(room.to_owned()));
            }
            QueueOutcome::Waits => {}
            QueueOutcome::Full => {
                tracing::warn!(%room, "too many questions wait in a room: one is dropped");
                self.ledger.finish(&open.question).await?;
            }
        }
        Ok(())
    }
}
