//! The topics of this server, which is an ntfy server for the phones of its people: in memory alone, since a phone that
//! missed a message sees everything at its next sync.
//!
//! A topic belongs to the person who names it first: by a subscription, or by a pusher. The name is a secret of the
//! phone's; for everybody else the topic does not exist.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::json;
use tokio::sync::broadcast;

use crate::{error::Error, random};

/// Most topics of a person. The one that was used the longest ago is given up for a new one.
pub(super) const TOPICS_MAX: usize = 64;
/// Most bytes of a person's messages that are kept for phones that are away; the oldest are dropped first.
const KEPT_MAX: usize = 256 << 10;
/// How long messages are kept, in seconds: as long as ntfy's own server does.
const KEPT_SECONDS: u64 = 12 * 60 * 60;
/// Most messages that a subscription may lag behind. One that lags more ends, and the phone asks for what it missed.
const LAG_MAX: usize = 64;
/// Longest name of a topic, as ntfy's.
const NAME_MAX: usize = 64;
/// Names that are the beginning of other paths.
const TAKEN: &[&str] = &["_matrix", "healthz", "maru", "readyz", "sign-in"];

/// The coordinator's number of a person.
pub(crate) type PersonId = u64;

/// A message of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Twelve characters.
    pub(crate) id: String,
    /// When it was published, in Unix seconds.
    pub(crate) time: u64,
    /// The topic.
    pub(crate) topic: String,
    /// As subscribers receive it: JSON in one line.
    pub(crate) line: String,
}

/// From where on a subscriber wants messages that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Nothing that is kept.
    Nothing,
    /// Everything.
    Everything,
    /// What was published at this time or later, in Unix seconds.
    Time(u64),
    /// What came after the message with this id; everything if it is not kept any more.
    Message(String),
}

/// The topic belongs to another person, or cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotYours;

/// What a subscriber is sent: what is kept, then what comes.
pub(crate) type Subscribed = (Vec<Arc<Message>>, broadcast::Receiver<Arc<Message>>);

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Topics(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    owners: HashMap<String, PersonId>,
    people: HashMap<PersonId, Person>,
}

#[derive(Debug)]
struct Person {
    /// The one that was used last is at the end.
    topics: VecDeque<String>,
    kept: VecDeque<Arc<Message>>,
    /// Bytes of what is kept.
    bytes: usize,
    live: broadcast::Sender<Arc<Message>>,
}

impl Default for Person {
    fn default() -> Self {
        let live = broadcast::Sender::new(LAG_MAX);
        Self { topics: VecDeque::new(), kept: VecDeque::new(), bytes: 0, live }
    }
}

/// Whether a text can be the name of a topic.
#[must_use]
pub(crate) fn is_topic(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_allowed) && !TAKEN.contains(&name)
}

impl Since {
    /// Reads the parameter `since` (ntfy, "Fetch cached messages"); `now` is in Unix seconds.
    #[must_use]
    pub(crate) fn parse(text: &str, now: u64) -> Option<Self> {
        match text {
            "" | "none" => return Some(Self::Nothing),
            "all" => return Some(Self::Everything),
            _ => {}
        }
        if text.len() == random::MESSAGE_ID && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Some(Self::Message(text.to_owned()));
        }
        if let Ok(time) = text.parse() {
            return Some(Self::Time(time));
        }
        let seconds = match text.split_at_checked(text.len() - 1)? {
            (count, "s") => count.parse().ok()?,
            (count, "m") => count.parse::<u64>().ok()?.checked_mul(60)?,
            (count, "h") => count.parse::<u64>().ok()?.checked_mul(60 * 60)?,
            _ => return None,
        };
        Some(Self::Time(now.saturating_sub(seconds)))
    }
}

impl Topics {
    /// Binds a topic to a person, unless it is another one's.
    ///
    /// # Errors
    ///
    /// [`NotYours`].
    pub(crate) fn bind(&self, person: PersonId, topic: &str) -> Result<(), NotYours> {
        self.inner().bind(person, topic)
    }

    /// Publishes a message to a topic of a person, and keeps it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the topic is not the person's; [`Error::Seal`] if the system has no random bytes.
    pub(crate) fn publish(
        &self,
        person: PersonId,
        topic: &str,
        text: &str,
        now: u64,
    ) -> Result<Arc<Message>, Error> {
        let id = random::message_id()?;
        let line = json!({
            "id": id, "time": now, "expires": now + KEPT_SECONDS, "event": "message", "topic": topic, "message": text,
        });
        let message =
            Arc::new(Message { id, time: now, topic: topic.to_owned(), line: line.to_string() });
        let mut inner = self.inner();
        let has = inner.owners.get(topic) == Some(&person);
        let found = inner.people.get_mut(&person).filter(|_| has);
        let Some(person) = found else {
            return Err(Error::NotFound("there is no such topic"));
        };
        person.keep(&message);
        person.forget(now);
        // Nobody may be subscribed.
        drop(person.live.send(Arc::clone(&message)));
        Ok(message)
    }

    /// Subscribes a person to topics. Returns what is kept since then, and what comes.
    ///
    /// # Errors
    ///
    /// [`NotYours`] if one of them is another person's; the others may be bound.
    pub(crate) fn subscribe(
        &self,
        person: PersonId,
        topics: &[String],
        since: &Since,
        now: u64,
    ) -> Result<Subscribed, NotYours> {
        let mut inner = self.inner();
        for topic in topics {
            inner.bind(person, topic)?;
        }
        let person = inner.people.entry(person).or_default();
        person.forget(now);
        Ok((person.since(topics, since), person.live.subscribe()))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn bind(&mut self, person: PersonId, topic: &str) -> Result<(), NotYours> {
        let owner = self.owners.get(topic);
        if !is_topic(topic) || owner.is_some_and(|owner| *owner != person) {
            return Err(NotYours);
        }
        let topics = &mut self.people.entry(person).or_default().topics;
        if owner.is_some() {
            topics.retain(|name| name != topic);
        }
        topics.push_back(topic.to_owned());
        if topics.len() > TOPICS_MAX {
            topics.pop_front().map(|oldest| self.owners.remove(&oldest));
        }
        self.owners.insert(topic.to_owned(), person);
        Ok(())
    }
}

impl Person {
    fn keep(&mut self, message: &Arc<Message>) {
        self.bytes += message.line.len();
        self.kept.push_back(Arc::clone(message));
    }

    /// Forgets messages that are too old, or too many.
    fn forget(&mut self, now: u64) {
        while self.kept.front().is_some_and(|oldest| {
            self.bytes > KEPT_MAX || oldest.time.saturating_add(KEPT_SECONDS) < now
        }) {
            let oldest = self.kept.pop_front();
            self.bytes -= oldest.map_or(0, |oldest| oldest.line.len());
        }
    }

    fn since(&self, topics: &[String], since: &Since) -> Vec<Arc<Message>> {
        let skipped = match since {
            Since::Nothing => self.kept.len(),
            Since::Everything => 0,
            Since::Time(time) => self.kept.iter().take_while(|it| it.time < *time).count(),
            Since::Message(id) => {
                self.kept.iter().position(|it| it.id == *id).map_or(0, |position| position + 1)
            }
        };
        let kept = self.kept.iter().skip(skipped).filter(|it| topics.contains(&it.topic));
        kept.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIM: PersonId = 1;
    const MIN: PersonId = 2;

    fn names(topics: &[&str]) -> Vec<String> {
        topics.iter().map(|topic| (*topic).to_owned()).collect()
    }

    fn kept(topics: &Topics, of: &[&str], since: &Since, now: u64) -> Vec<u64> {
        let (kept, _) = topics.subscribe(KIM, &names(of), since, now).unwrap();
        kept.iter().map(|message| message.time).collect()
    }

    #[test]
    fn a_topic_belongs_to_whoever_named_it_first() {
        let topics = Topics::default();
        topics.bind(KIM, "upAAAA").unwrap();
        assert_eq!(topics.bind(MIN, "upAAAA"), Err(NotYours));
        let all = names(&["upBBBB", "upAAAA"]);
        assert_eq!(topics.subscribe(MIN, &all, &Since::Nothing, 0).unwrap_err(), NotYours);
        for topic in ["upAAAA", "upCCCC"] {
            topics.publish(MIN, topic, "x", 0).unwrap_err();
        }
        assert_eq!(topics.publish(KIM, "upAAAA", "x", 7).unwrap().time, 7);
        for name in ["", "a/b", "a.b", "a b", "ü", "_matrix", "sign-in", &"x".repeat(65)] {
            assert_eq!(topics.bind(KIM, name), Err(NotYours), "{name}");
        }
    }

    #[test]
    fn a_person_has_so_many_topics_and_loses_the_one_that_was_not_used_for_longest() {
        let topics = Topics::default();
        for number in 0..TOPICS_MAX {
            topics.bind(KIM, &format!("t{number}")).unwrap();
        }
        topics.bind(KIM, "t0").unwrap();
        topics.bind(KIM, "new").unwrap();
        topics.publish(KIM, "t1", "x", 0).unwrap_err();
        topics.publish(KIM, "t0", "x", 0).unwrap();
        assert_eq!(topics.inner().owners.len(), TOPICS_MAX);
        topics.bind(MIN, "t1").unwrap();
    }

    #[test]
    fn messages_are_kept_for_their_topics_by_bytes_and_time() {
        let topics = Topics::default();
        topics.bind(KIM, "a").unwrap();
        topics.bind(KIM, "b").unwrap();
        let id = topics.publish(KIM, "a", "x", 1).unwrap().id.clone();
        topics.publish(KIM, "b", "x", 2).unwrap();
        topics.publish(KIM, "a", "x", 3).unwrap();
        assert_eq!(kept(&topics, &["a"], &Since::Everything, 3), [1, 3]);
        assert_eq!(kept(&topics, &["a", "b"], &Since::Message(id), 3), [2, 3]);
        assert_eq!(kept(&topics, &["a", "b"], &Since::Time(2), 3), [2, 3]);
        assert_eq!(kept(&topics, &["a"], &Since::Message("0123456789ab".to_owned()), 3), [1, 3]);
        assert!(kept(&topics, &["a"], &Since::Nothing, 3).is_empty());
        assert_eq!(kept(&topics, &["a"], &Since::Everything, KEPT_SECONDS + 2), [3]);

        let long = "x".repeat(KEPT_MAX / 8);
        for time in 10..30 {
            topics.publish(KIM, "a", &long, time).unwrap();
        }
        assert_eq!(kept(&topics, &["a"], &Since::Everything, 30), [23, 24, 25, 26, 27, 28, 29]);
    }

    #[test]
    fn since_is_read_as_ntfy_defines_it() {
        assert_eq!(Since::parse("none", 0), Some(Since::Nothing));
        assert_eq!(Since::parse("all", 0), Some(Since::Everything));
        assert_eq!(Since::parse("1700000000", 0), Some(Since::Time(1_700_000_000)));
        assert_eq!(Since::parse("10m", 1_000), Some(Since::Time(400)));
        assert_eq!(Since::parse("2h", 1_000), Some(Since::Time(0)));
        assert_eq!(
            Since::parse("0123456789ab", 0),
            Some(Since::Message("0123456789ab".to_owned()))
        );
        for wrong in ["x", "10d", "m", "-1", "18446744073709551615h", "é"] {
            assert_eq!(Since::parse(wrong, 0), None, "{wrong}");
        }
    }
}
