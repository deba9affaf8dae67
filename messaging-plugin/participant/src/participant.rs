//! The AI as a member of rooms: follows telmeet's sync, joins where it is invited, and finds the messages that it answers.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ai_gateway_api::rooms::Settings;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::sync::Semaphore;

use crate::{
    device::{Device, DeviceError, SyncedKeys},
    gateway::Gateway,
    homeserver::{CallError, Homeserver, room_path, segment},
    judge::{self, Message, Reaction, RoomView},
    ledger::{Ledger, OpenReply},
    memory::{self, Question, QueueOutcome, Rooms},
    records::RecordError,
};

/// How long a sync waits for something new.
const WAIT: Duration = Duration::from_secs(30);
/// Most rooms.
const ROOMS: usize = 256;
/// Replies at a time.
const REPLIES: usize = 8;
/// Events of a room in one sync.
const TIMELINE: usize = 30;
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
fn settle<T>(room: &RoomId, done: Result<T, Error>) -> Result<Option<T>, Error> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_of_room() => {
            tracing::warn!(%room, error = &error as &dyn std::error::Error, "an event is skipped");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a sync says about rooms.
#[derive(Debug, Deserialize)]
struct Synced {
    next_batch: String,
    #[serde(default)]
    rooms: SyncedRooms,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SyncedRooms {
    join: BTreeMap<OwnedRoomId, Joined>,
    invite: BTreeMap<OwnedRoomId, Invited>,
    leave: BTreeMap<OwnedRoomId, serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Joined {
    timeline: Events,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Invited {
    invite_state: Events,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Events {
    events: Vec<Box<RawValue>>,
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

    /// Follows telmeet's sync until it fails.
    ///
    /// # Errors
    ///
    /// See [`Error`]. What was not handled comes again.
    pub async fn follow(self: &Arc<Self>) -> Result<Infallible, Error> {
        let mut since = self.ledger.since().await?;
        let mut limit = TIMELINE;
        loop {
            let filter = json!({
                "presence": { "types": [] },
                "account_data": { "types": [] },
                "room": {
                    "timeline": { "limit": limit },
                    "state": { "types": [], "lazy_load_members": true },
                    "ephemeral": { "types": [] },
                    "account_data": { "types": [] },
                },
            });
            let mut query = format!("filter={}", segment(&filter.to_string()));
            if let Some(since) = &since {
                query.push_str(&format!("&since={}", segment(since)));
            }
            let wait = if since.is_some() { WAIT } else { Duration::ZERO };
            let body = match self.homeserver.sync(&query, wait).await {
                // Members wrote much at once: the last event of each room then.
                Err(CallError::TooLarge) if limit > 1 => {
                    tracing::warn!("a sync is too large: the AI skips messages");
                    limit = 1;
                    continue;
                }
                body => body?,
            };
            limit = TIMELINE;
            let keys: SyncedKeys =
                serde_json::from_slice(&body).map_err(|_| CallError::Malformed)?;
            let synced: Synced = serde_json::from_slice(&body).map_err(|_| CallError::Malformed)?;
            drop(body);
            self.device.receive(keys).await?;
            self.read_again().await?;
            self.take(synced.rooms, since.is_none()).await?;
            if since.as_ref() != Some(&synced.next_batch) {
                self.ledger.set_since(&synced.next_batch).await?;
                since = Some(synced.next_batch);
            }
        }
    }

    /// Takes what happened in rooms. Of the first sync of a device only the invitations: what its rooms have was before it.
    async fn take(self: &Arc<Self>, rooms: SyncedRooms, is_first: bool) -> Result<(), Error> {
        for room in rooms.leave.keys() {
            self.rooms.forget(room);
        }
        for (room, invited) in &rooms.invite {
            settle(room, self.handle_invitation(room, invited).await)?;
        }
        for (room, joined) in &rooms.join {
            let events = &joined.timeline.events;
            let first = if is_first { events.len() } else { self.first_seen(events) };
            for event in &events[first..] {
                settle(room, self.handle_event(room, event).await)?;
            }
        }
        Ok(())
    }

    /// The first event that the AI sees of a room's timeline: after its joining. In a direct chat people write right after they
    /// invited, so it sees from its invitation on.
    fn first_seen(&self, events: &[Box<RawValue>]) -> usize {
        let (mut first, mut is_invited) = (0, false);
        for (at, event) in events.iter().enumerate() {
            if !event.get().contains("m.room.member") {
                continue;
            }
            let Ok(event) = serde_json::from_str::<Value>(event.get()) else { continue };
            if event["type"] != "m.room.member" || event["state_key"] != self.me.as_str() {
                continue;
            }
            let content = &event["content"];
            let is_join = content["membership"] == "join";
            // Every change of the AI's name is a join, too.
            let was_joined = event["unsigned"]["prev_content"]["membership"] == "join";
            if !(is_join && (is_invited || was_joined)) {
                first = at;
            }
            is_invited = content["membership"] == "invite" && content["is_direct"] == true;
        }
        first
    }

    async fn handle_invitation(&self, room: &RoomId, invited: &Invited) -> Result<(), Error> {
        let events = invited.invite_state.events.iter();
        let mut events = events.filter_map(|it| serde_json::from_str::<Value>(it.get()).ok());
        let own = events.find(|event| {
            event["type"] == "m.room.member" && event["state_key"] == self.me.as_str()
        });
        let inviter = own.and_then(|event| UserId::parse(event["sender"].as_str()?).ok());
        let is_of_network = inviter.is_some_and(|it| it.server_name() == self.me.server_name());
        let joined = self.homeserver.get("/_matrix/client/v3/joined_rooms").await?;
        let count = joined["joined_rooms"].as_array().map_or(0, Vec::len);
        if !is_of_network || count >= ROOMS {
            tracing::warn!(%room, count, "an invitation is refused");
            return self.leave(room).await;
        }
        let path = format!("/_matrix/client/v3/join/{}", segment(room.as_str()));
        match self.homeserver.post(&path, json!({})).await {
            Ok(_) => tracing::info!(%room, "the AI joined a room"),
            // The invitation was taken back.
            Err(error) if error.is_final() && !error.is_signed_out() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if let Some(view) = self.view(room).await? {
            self.tell(room, &view).await?;
        }
        Ok(())
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

    async fn handle_event(self: &Arc<Self>, room: &RoomId, event: &RawValue) -> Result<(), Error> {
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
                if is_encrypted { Ok(()) } else { self.handle_text(room, &value).await }
            }
            Some("m.reaction") => self.handle_reaction(room, &value).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Tries messages again whose keys may have come.
    async fn read_again(self: &Arc<Self>) -> Result<(), Error> {
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
        let Some(event) = self.device.decrypt(room, event).await? else { return Ok(false) };
        let sender = event["sender"].as_str().and_then(|sender| UserId::parse(sender).ok());
        if let Some(sender) = sender {
            if self.device.is_trusted(&sender).await? {
                self.handle_text(room, &event).await?;
            } else {
                tracing::warn!(%sender, "a person has another identity than before: not answered");
            }
        }
        Ok(true)
    }

    async fn handle_text(self: &Arc<Self>, room: &RoomId, event: &Value) -> Result<(), Error> {
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
