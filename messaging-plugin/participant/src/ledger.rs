//! What the participant remembers across restarts besides its keys: where its sync is, which events it has handled, which
//! replies are not complete, and what it said in which room.

use std::sync::Arc;

use ruma::{OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};

use crate::{
    device::MessageIndex,
    records::{Kind, RecordError, Records},
};

const SYNC: Kind = Kind::new("sync");
const DEVICE: Kind = Kind::new("device_id");
/// Events that were handled, each with the last attempt.
const HANDLED: Kind = Kind::new("handled").at_most(4096);
/// Messages of encrypted rooms that were answered: the event of each.
const MESSAGE: Kind = Kind::new("message").at_most(4096);
/// Replies that were begun and are not complete.
const OPEN: Kind = Kind::new("open_reply");
const ROOM: Kind = Kind::new("room").at_most(1024);

/// All of it has one owner.
const OWN: &str = "";

/// A reply that was begun.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenReply {
    /// The room.
    pub room: OwnedRoomId,
    /// The event that it answers.
    pub question: String,
    /// Which reply to it this is, from 0.
    pub attempt: u32,
    /// The first message of the thread in which it is.
    pub thread: Option<String>,
    /// The message that is edited, once it is there.
    pub answer: Option<String>,
    /// How many events were sent for this attempt.
    pub sent: u32,
    /// What was shown last.
    pub text: String,
}

/// Without the text.
impl std::fmt::Debug for OpenReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reply {} to {}", self.attempt, self.question)
    }
}

/// What is remembered of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomNote {
    /// The event by which the AI had joined when it said that it reads the room.
    pub told_after: Option<String>,
    /// Whether messages were encrypted once. They are since then, whatever telmeet says.
    pub is_encrypted: bool,
}

/// The participant's memory on disk.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Records>);

impl Ledger {
    /// The memory in these records.
    #[must_use]
    pub fn new(records: Arc<Records>) -> Self {
        Self(records)
    }

    /// The device's id, if there is one.
    ///
    /// # Errors
    ///
    /// See [`RecordError`], also for the other functions.
    pub async fn device(&self) -> Result<Option<String>, RecordError> {
        self.0.get(DEVICE, &[]).await
    }

    /// Remembers the device's id.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn set_device(&self, id: &str) -> Result<(), RecordError> {
        self.0.batch().put(DEVICE, &[], OWN, &id)?.commit().await
    }

    /// Where the next sync begins.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn since(&self) -> Result<Option<String>, RecordError> {
        self.0.get(SYNC, &[]).await
    }

    /// Remembers where the next sync begins.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn set_since(&self, token: &str) -> Result<(), RecordError> {
        self.0.batch().put(SYNC, &[], OWN, &token)?.commit().await
    }

    /// Notes of which event a message is answered. Returns false if it was that of another event.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn claim(&self, place: &MessageIndex, event: &str) -> Result<bool, RecordError> {
        let id = [&*place.session, &place.index.to_string()];
        if let Some(known) = self.0.get::<String>(MESSAGE, &id).await? {
            return Ok(known == event);
        }
        self.0.batch().put(MESSAGE, &id, OWN, &event)?.commit().await?;
        Ok(true)
    }

    /// Notes that a reply begins. Returns false if this attempt, or a later one, began before: it must not run again.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn begin(&self, reply: &OpenReply) -> Result<bool, RecordError> {
        let last: Option<u32> = self.0.get(HANDLED, &[&reply.question]).await?;
        if last.is_some_and(|last| last >= reply.attempt) {
            return Ok(false);
        }
        let mut batch = self.0.batch();
        batch.put(HANDLED, &[&reply.question], OWN, &reply.attempt)?;
        batch.put(OPEN, &[&reply.question], OWN, reply)?;
        batch.commit().await?;
        Ok(true)
    }

    /// Notes what a reply shows now.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn update(&self, reply: &OpenReply) -> Result<(), RecordError> {
        self.0.batch().put(OPEN, &[&reply.question], OWN, reply)?.commit().await
    }

    /// Notes that a reply is complete.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn finish(&self, question: &str) -> Result<(), RecordError> {
        self.0.batch().remove(OPEN, &[question]).commit().await
    }

    /// Replies that were begun and are not complete.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn open_replies(&self) -> Result<Vec<OpenReply>, RecordError> {
        self.0.all(OPEN, None).await
    }

    /// What is remembered of a room.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn room(&self, room: &RoomId) -> Result<RoomNote, RecordError> {
        Ok(self.0.get(ROOM, &[room.as_str()]).await?.unwrap_or_default())
    }

    /// Remembers this of a room.
    ///
    /// # Errors
    ///
    /// See [`Self::device`].
    pub async fn set_room(&self, room: &RoomId, note: &RoomNote) -> Result<(), RecordError> {
        self.0.batch().put(ROOM, &[room.as_str()], OWN, note)?.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(attempt: u32) -> OpenReply {
        OpenReply {
            room: "!r:maru.test".try_into().unwrap(),
            question: "$q".to_owned(),
            attempt,
            thread: None,
            answer: None,
            sent: 0,
            text: String::new(),
        }
    }

    #[tokio::test]
    async fn an_event_runs_once_for_each_attempt_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sqlite");
        let (records, lock) = Records::open(&path, &[1; 32]).await.unwrap();
        let ledger = Ledger::new(Arc::new(records));
        assert!(ledger.begin(&reply(0)).await.unwrap());
        assert!(!ledger.begin(&reply(0)).await.unwrap());
        let shown = OpenReply { text: "Two".to_owned(), sent: 1, ..reply(0) };
        ledger.update(&shown).await.unwrap();
        ledger.0.close().await;
        drop((ledger, lock));

        let (records, _lock) = Records::open(&path, &[1; 32]).await.unwrap();
        let ledger = Ledger::new(Arc::new(records));
        assert_eq!(ledger.open_replies().await.unwrap(), [shown]);
        assert!(!ledger.begin(&reply(0)).await.unwrap());
        ledger.finish("$q").await.unwrap();
        assert!(ledger.open_replies().await.unwrap().is_empty());
        assert!(!ledger.begin(&reply(0)).await.unwrap());
        assert!(ledger.begin(&reply(1)).await.unwrap());
    }
}
