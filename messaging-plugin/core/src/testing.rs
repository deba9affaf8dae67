//! A room for unit tests.

use std::sync::Arc;

use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId, UserId, uint};
use serde_json::{Value, json};

use crate::{
    Error, authorise,
    event::{Draft, Event, Head},
    json,
    state::RoomState,
};

/// A room whose events are built, authorised and applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    pub(crate) state: RoomState,
    pub(crate) events: Vec<Arc<Event>>,
}

/// `@NAME:maru.test`.
pub(crate) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:maru.test")).unwrap()
}

impl Room {
    /// A room that `@kim` made and joined.
    pub(crate) fn new(join_rule: &str) -> Self {
        Self::of(&json!({"join_rule": join_rule}))
    }

    /// The same with the content of `m.room.join_rules`.
    pub(crate) fn of(join_rules: &Value) -> Self {
        let mut room = Self::default();
        room.state("kim", "m.room.create", "", json!({"room_version": "11"})).unwrap();
        room.member("kim", "kim", "join").unwrap();
        room.state("kim", "m.room.power_levels", "", json!({"users": {"@kim:maru.test": 100}}))
            .unwrap();
        room.state("kim", "m.room.join_rules", "", join_rules.clone()).unwrap();
        room
    }

    /// Makes `users` members, whatever the rule, by an invitation and a join.
    pub(crate) fn with(mut self, users: &[&str]) -> Self {
        for name in users {
            self.member("kim", name, "invite").unwrap();
            self.member(name, name, "join").unwrap();
        }
        self
    }

    /// Sends a membership of `target`.
    pub(crate) fn member(
        &mut self,
        sender: &str,
        target: &str,
        membership: &str,
    ) -> Result<Arc<Event>, Error> {
        self.state(
            sender,
            "m.room.member",
            user(target).as_str(),
            json!({"membership": membership}),
        )
    }

    /// Sends a state event.
    pub(crate) fn state(
        &mut self,
        sender: &str,
        kind: &str,
        key: &str,
        content: Value,
    ) -> Result<Arc<Event>, Error> {
        self.send(sender, kind, Some(key), &content)
    }

    /// Sends a message event.
    pub(crate) fn message(
        &mut self,
        sender: &str,
        kind: &str,
        content: Value,
    ) -> Result<Arc<Event>, Error> {
        self.send(sender, kind, None, &content)
    }

    fn send(
        &mut self,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> Result<Arc<Event>, Error> {
        let draft = Draft {
            room_id: "!room:maru.test".try_into().unwrap(),
            sender: user(sender),
            kind: kind.into(),
            state_key: key.map(str::to_owned),
            content: json::content(content.to_string().as_bytes())?,
            time: MilliSecondsSinceUnixEpoch(uint!(1_700_000_000)),
        };
        let head: Option<Head> = self.events.last().map(|event| event.head());
        let event = Event::build(draft, head.as_ref(), |kind, key| self.state.id(kind, key))?;
        authorise::check(&event, &self.state)?;
        let event = Arc::new(event);
        self.state.apply(&event)?;
        self.events.push(Arc::clone(&event));
        Ok(event)
    }
}
