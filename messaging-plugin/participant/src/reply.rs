//! One reply: asks the gateway, shows the reply as it grows, and closes it whatever happens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ai_gateway_api::rooms::{
    Finish, MAX_REPLY, RecentMessage, ReplyEvent, Room, RoomMessage, Sender,
};
use hyper::StatusCode;
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use crate::{
    edits::Edits,
    gateway::{GatewayError, Reply},
    homeserver::{CallError, room_path, segment},
    judge::RoomView,
    ledger::OpenReply,
    memory::{Question, Running},
    participant::{Error, Participant},
    wording,
};

/// How long telmeet shows that the AI is typing, unless it says so again.
const TYPING: Duration = Duration::from_secs(30);
/// How often the last edit is tried, with twice the wait each time.
const TRIES: u32 = 6;

/// How a reply ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// With this text.
    Text(String),
    /// The gateway or the model failed, or the participant was restarted.
    Cut,
    /// Somebody stopped it.
    Stopped,
    /// The gateway gave no reply.
    Unanswered,
    /// Nothing is said.
    Silent,
}

impl Participant {
    /// Answers the questions of a room, one after another.
    pub(crate) async fn answer_all(self: Arc<Self>, room: OwnedRoomId) {
        while let Some((question, running)) = self.rooms.next(&room) {
            // It is never closed.
            let _permit = self.replying.acquire().await;
            if let Err(error) = self.answer(&room, question, &running).await {
                tracing::warn!(%room, error = &error as &dyn std::error::Error, "a reply failed");
            }
        }
    }

    async fn answer(
        &self,
        room: &RoomId,
        question: Question,
        running: &Running,
    ) -> Result<(), Error> {
        let id = question.message.event.to_string();
        let Some(view) = self.view(room).await? else { return Ok(self.ledger.finish(&id).await?) };
        self.tell(room, &view).await?;
        let mut open = OpenReply {
            room: room.to_owned(),
            question: id,
            attempt: question.attempt,
            thread: question.message.thread.clone(),
            answer: question.answer.clone(),
            sent: 0,
            text: String::new(),
        };
        if let Some(answer) = &open.answer {
            running.set_answer(answer);
        }
        let mut edits = if open.answer.is_some() { Edits::of_message() } else { Edits::default() };
        let ending = tokio::select! {
            ending = self.grow(&view, &question, &mut open, &mut edits, running) => ending,
            () = running.stopped() => Ending::Stopped,
            never = self.type_on(room) => match never {},
        };
        self.stop_typing(room).await;
        let text = match ending {
            Ending::Text(text) => text,
            Ending::Cut => wording::cut(edits.text()),
            Ending::Stopped => wording::stopped(edits.text()),
            Ending::Unanswered => wording::unanswered(&question.message.text),
            Ending::Silent => return Ok(self.ledger.finish(&open.question).await?),
        };
        if text != open.text {
            if let Some(at) = edits.poll_last() {
                sleep_until(at.into()).await;
            }
            self.show_surely(&view, &mut open, &text).await?;
        }
        self.ledger.finish(&open.question).await?;
        if let Some(answer) = open.answer {
            self.remember(room, &answer, &text);
            self.rooms.replied(room, answer, question);
        }
        Ok(())
    }

    /// Asks the gateway, and shows the reply as it grows.
    async fn grow(
        &self,
        view: &RoomView,
        question: &Question,
        open: &mut OpenReply,
        edits: &mut Edits,
        running: &Running,
    ) -> Ending {
        let Some(message) = self.message(view, question, open) else { return Ending::Silent };
        let mut reply = match self.gateway.ask(&message).await {
            Ok(Some(reply)) => reply,
            Ok(None) => return Ending::Silent,
            // It had arrived, and its reply is lost.
            Err(GatewayError::Refused(StatusCode::CONFLICT)) => return Ending::Cut,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no reply");
                return Ending::Unanswered;
            }
        };
        loop {
            match next(&mut reply, edits).await {
                Some(ReplyEvent::Delta(delta)) => edits.handle_delta(&delta.text),
                Some(ReplyEvent::Final(end)) => {
                    return match end.finish {
                        Finish::Stop => Ending::Text(end.text),
                        Finish::Length | Finish::Cut => Ending::Text(wording::cut(&end.text)),
                    };
                }
                None => return Ending::Cut,
            }
            if edits.text().len() > MAX_REPLY {
                return Ending::Cut;
            }
            let text = edits.poll_edit(Instant::now()).map(str::to_owned);
            let Some(text) = text else { continue };
            // The next one shows it, too.
            if let Err(error) = self.show(view, open, &text).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "an edit is not sent");
            }
            if let Some(answer) = &open.answer {
                running.set_answer(answer);
            }
        }
    }

    fn message(
        &self,
        view: &RoomView,
        question: &Question,
        open: &OpenReply,
    ) -> Option<RoomMessage> {
        let Question { message, is_called, attempt, .. } = question;
        let name = view.people.get(&message.sender)?;
        Some(RoomMessage {
            version: self.settings().version,
            event_id: message.event.as_str().parse().ok()?,
            attempt: *attempt,
            room: Room {
                id: open.room.as_str().parse().ok()?,
                name: view.name.clone(),
                direct: view.is_direct(),
            },
            sender: Sender { id: message.sender.as_str().parse().ok()?, name: name.clone() },
            mention: *is_called,
            text: message.text.clone(),
            recent: self.rooms.before(&open.room, message.event.as_str()),
        })
    }

    /// Shows a text as the reply's message, or as an edit of it.
    async fn show(&self, view: &RoomView, open: &mut OpenReply, text: &str) -> Result<(), Error> {
        let content = content(open, text);
        let id = format!("{}-{}-{}", short_hash(&open.question), open.attempt, open.sent);
        let event = self.send(&open.room, view, &content, &id).await?;
        open.sent += 1;
        text.clone_into(&mut open.text);
        open.answer.get_or_insert(event);
        Ok(self.ledger.update(open).await?)
    }

    /// Shows the last text of a reply, also if telmeet is away for a while.
    async fn show_surely(
        &self,
        view: &RoomView,
        open: &mut OpenReply,
        text: &str,
    ) -> Result<(), Error> {
        let mut wait = Duration::from_secs(1);
        for _ in 1..TRIES {
            match self.show(view, open, text).await {
                Err(error) if error.is_passing() => {}
                done => return done,
            }
            sleep(wait).await;
            wait *= 2;
        }
        self.show(view, open, text).await
    }

    /// Sends a message, encrypted if the room is. The same id gives the same event.
    async fn send(
        &self,
        room: &RoomId,
        view: &RoomView,
        content: &Value,
        id: &str,
    ) -> Result<String, Error> {
        let people: Vec<OwnedUserId> = view.people.keys().cloned().collect();
        let sent = if view.is_encrypted {
            let content = self.device.encrypt(room, &people, "m.room.message", content).await?;
            let path = room_path(room, &format!("send/m.room.encrypted/{}", segment(id)));
            self.homeserver.put(&path, content).await?
        } else {
            let path = room_path(room, &format!("send/m.room.message/{}", segment(id)));
            self.homeserver.put(&path, content.clone()).await?
        };
        let event = sent["event_id"].as_str().map(str::to_owned);
        event.ok_or_else(|| CallError::Malformed.into())
    }

    /// Says in a room that the AI reads it, unless it said so since it joined.
    pub(crate) async fn tell(&self, room: &RoomId, view: &RoomView) -> Result<(), Error> {
        let mut note = self.ledger.room(room).await?;
        let (Some(joined_by), Some(fingerprint)) =
            (&view.joined_by, self.device.fingerprint().await?)
        else {
            return Ok(());
        };
        if note.told_after.as_ref() == Some(joined_by) {
            return Ok(());
        }
        self.device.follow(&view.people.keys().cloned().collect::<Vec<_>>()).await?;
        let names = view.people.values().chain(&view.name).map(String::as_str);
        let text = wording::told(&fingerprint, names);
        let content = json!({ "msgtype": "m.notice", "body": text, "m.mentions": {} });
        self.send(room, view, &content, &format!("told-{}", short_hash(joined_by))).await?;
        note.told_after = Some(joined_by.clone());
        Ok(self.ledger.set_room(room, &note).await?)
    }

    /// Closes the replies that were begun before a restart, as cut.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn close_open_replies(&self) -> Result<(), Error> {
        for mut open in self.ledger.open_replies().await? {
            self.stop_typing(&open.room).await;
            if let Some(view) = self.view(&open.room).await? {
                let text = wording::cut(&open.text);
                if open.answer.is_none() {
                    // It may have been sent without the participant learning of it; then this gives its event.
                    open.sent = 0;
                    self.show(&view, &mut open, &text).await?;
                }
                let id = format!("{}-{}-cut", short_hash(&open.question), open.attempt);
                self.send(&open.room, &view, &content(&open, &text), &id).await?;
            }
            self.ledger.finish(&open.question).await?;
        }
        Ok(())
    }

    /// Notes the AI's own reply among the recent messages.
    fn remember(&self, room: &RoomId, answer: &str, text: &str) {
        let (Ok(event_id), Ok(id)) = (answer.parse(), self.me.as_str().parse()) else { return };
        let (name, text) = (self.settings().assistant_name, text.to_owned());
        let sender = Sender { id, name };
        let message = RecentMessage { event_id, sender, own: true, text, sent_at: 0 };
        self.rooms.note(room, message);
    }

    /// Shows that the AI is typing, for as long as it is not dropped.
    async fn type_on(&self, room: &RoomId) -> std::convert::Infallible {
        let mut ticks = interval(TYPING / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let milliseconds = u64::try_from(TYPING.as_millis()).unwrap_or_default();
            self.set_typing(room, json!({ "typing": true, "timeout": milliseconds })).await;
        }
    }

    async fn stop_typing(&self, room: &RoomId) {
        self.set_typing(room, json!({ "typing": false })).await;
    }

    async fn set_typing(&self, room: &RoomId, body: Value) {
        let path = room_path(room, &format!("typing/{}", segment(self.me.as_str())));
        if let Err(error) = self.homeserver.put(&path, body).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "typing is not shown");
        }
    }
}

/// The next event of a reply; a piece without text when something that came before is due to be shown.
async fn next(reply: &mut Reply, edits: &Edits) -> Option<ReplyEvent> {
    match edits.poll_timeout() {
        None => reply.next().await,
        Some(due) => tokio::select! {
            event = reply.next() => event,
            () = sleep_until(due.into()) => {
                Some(ReplyEvent::Delta(ai_gateway_api::rooms::Delta { text: String::new() }))
            }
        },
    }
}

/// The content of a reply's message, or of an edit of it.
fn content(open: &OpenReply, text: &str) -> Value {
    let own = json!({ "msgtype": "m.text", "body": text, "m.mentions": {} });
    if let Some(answer) = &open.answer {
        let relation = json!({ "rel_type": "m.replace", "event_id": answer });
        let body = format!("* {text}");
        return json!({
            "msgtype": "m.text", "body": body, "m.mentions": {},
            "m.new_content": own, "m.relates_to": relation,
        });
    }
    let mut content = own;
    let in_reply_to = json!({ "event_id": open.question });
    content["m.relates_to"] = match &open.thread {
        None => json!({ "m.in_reply_to": in_reply_to }),
        Some(thread) => json!({
            "rel_type": "m.thread", "event_id": thread, "is_falling_back": true,
            "m.in_reply_to": in_reply_to,
        }),
    };
    content
}

/// A short name for an event.
fn short_hash(event: &str) -> String {
    hex::encode(&Sha256::digest(event)[..16])
}
