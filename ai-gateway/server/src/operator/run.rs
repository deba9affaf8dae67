//! A run: one question to the model, whose reply goes as events to every client of the person. It goes on when the client
//! that began it leaves, and is stopped by `chat.abort`.

use std::sync::Arc;

use ai_gateway_api::{kind, sealed::SessionName};
use mesh_identity::Person;
use serde_json::{Value, json};
use tokio::select;

use super::{
    frame::{self, Failure},
    key,
    outbox::Outbox,
    people::RunPermit,
};
use crate::{
    App, Error, arena,
    chat::{ChatReply, Ending, Notice, ReplyEvent},
    now_ms,
};

/// Longest reply that its last event repeats as a whole, in bytes. Clients have a longer one by its deltas.
const WHOLE_MAX: usize = 256 << 10;

/// A run that is being sent.
pub(super) struct RunEvents {
    pub(super) app: Arc<App>,
    pub(super) person: Person,
    pub(super) session: SessionName,
    pub(super) id: String,
    /// What is answered with the reply, besides the events.
    pub(super) response: Option<LateResponse>,
}

/// The response to a request whose run has not ended.
pub(super) struct LateResponse {
    outbox: Arc<Outbox>,
    /// The request's.
    id: String,
}

impl LateResponse {
    /// To a request on a connection.
    pub(super) fn new(outbox: &Arc<Outbox>, id: &str) -> Self {
        Self { outbox: Arc::clone(outbox), id: id.to_owned() }
    }

    fn send(&self, result: Result<&Value, &Failure>) {
        self.outbox.text(&frame::response(&self.id, result));
    }
}

impl RunEvents {
    /// Responds that the run began, if the reply is the response.
    pub(super) fn accept(&self) -> bool {
        let accepted = json!({"runId": self.id, "status": "accepted", "acceptedAt": now_ms()});
        self.response.as_ref().map(|response| response.send(Ok(&accepted))).is_some()
    }

    /// The response with these texts.
    pub(super) fn completed<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Value {
        let payloads: Vec<_> = texts.into_iter().map(|text| json!({"text": text})).collect();
        json!({
            "runId": self.id,
            "status": "ok",
            "summary": "completed",
            "result": {"payloads": payloads, "meta": {}},
        })
    }

    /// Sends the reply's events, on a task of its own.
    pub(super) fn start(self, reply: ChatReply, place: RunPermit) {
        tokio::spawn(async move { self.send(reply, place).await });
    }

    /// Answers without a model, with this text.
    pub(super) fn answer(&self, text: &str) {
        self.tell("final", 0, [("message", Some(assistant(text))), ("", None)]);
    }

    async fn send(self, mut reply: ChatReply, place: RunPermit) {
        let (mut seq, mut text, mut ending) = (0_u64, Some(String::new()), Ending::default());
        let mut notices = Vec::new();
        loop {
            let event = select! {
                biased;
                () = place.stop.cancelled() => {
                    drop(reply);
                    place.end();
                    let message = text.filter(|text| !text.is_empty()).map(|it| assistant(&it));
                    let reason = Some("rpc".into());
                    self.tell("aborted", seq, [("message", message), ("stopReason", reason)]);
                    let aborted = json!({
                        "runId": self.id, "status": "timeout", "summary": "aborted", "stopReason": "rpc",
                    });
                    return self.respond(Ok(&aborted));
                }
                event = reply.next() => event,
            };
            match event {
                Some(Ok(ReplyEvent::Model(_))) => {}
                Some(Ok(ReplyEvent::Delta(delta))) => {
                    ending.take(&delta);
                    if delta.content.is_empty() {
                        continue;
                    }
                    text = text.and_then(|text| longer(text, &delta.content));
                    self.tell(
                        "delta",
                        seq,
                        [("deltaText", Some(delta.content.into())), ("", None)],
                    );
                    seq += 1;
                }
                Some(Ok(ReplyEvent::Notice(notice))) => notices.push(notice),
                Some(Ok(ReplyEvent::Turn(turn))) => {
                    if let Err(error) = reply.end_turn(turn).await {
                        return self.fail(place, seq, &error);
                    }
                }
                Some(Err(error)) => return self.fail(place, seq, &error),
                None => return self.finish(place, seq, (text, notices), &ending),
            }
        }
    }

    /// The reply is whole, and its turn on the disk or not. Each notice is a block of its own behind the text.
    fn finish(
        &self,
        place: RunPermit,
        seq: u64,
        (text, notices): (Option<String>, Vec<Notice>),
        ending: &Ending,
    ) {
        place.end();
        let is_kept = notices.iter().all(|notice| notice.kind != kind::NOT_KEPT);
        if is_kept {
            changed(&self.app, &self.person, &self.session, "chat");
        }
        let lost = text.is_none().then(|| too_long(is_kept, &notices));
        let mut message = text.map(|text| assistant(&text));
        for notice in notices {
            let message = message.get_or_insert_with(|| assistant(""));
            if let Some(blocks) = message["content"].as_array_mut() {
                blocks.push(json!({"type": "text", "text": notice.message}));
            }
        }
        let blocks = message.iter().flat_map(|message| message["content"].as_array()).flatten();
        let completed = self.completed(blocks.filter_map(|block| block["text"].as_str()));
        let reason = ending.reason().as_str().into();
        self.tell("final", seq, [("message", message), ("stopReason", Some(reason))]);
        self.respond(lost.as_ref().map_or(Ok(&completed), Err));
    }

    fn respond(&self, result: Result<&Value, &Failure>) {
        if let Some(response) = &self.response {
            response.send(result);
        }
    }

    fn fail(&self, place: RunPermit, seq: u64, error: &Error) {
        drop(place);
        self.tell("error", seq, [("errorMessage", Some(error.message().into())), ("", None)]);
        self.respond(Err(&Failure::Unavailable(error.message().into(), None)));
    }

    /// Sends an event of this run (`ChatEvent`).
    fn tell(&self, state: &'static str, seq: u64, more: [(&str, Option<Value>); 2]) {
        let mut payload = json!({
            "runId": self.id,
            "sessionKey": key::of(&self.session),
            "agentId": key::AGENT,
            "seq": seq,
            "state": state,
        });
        for (name, value) in more {
            if let Some(value) = value {
                payload[name] = value;
            }
        }
        self.app.operators.tell(&self.person, "chat", &payload);
    }
}

/// The id of a run whose client gives it none.
pub(super) fn random_id() -> Result<String, Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| Error::Busy)?;
    Ok(hex::encode(id))
}

/// Tells a person's clients that a session changed.
pub(super) fn changed(app: &App, person: &Person, session: &SessionName, reason: &str) {
    let payload = json!({
        "sessionKey": key::of(session),
        "agentId": key::AGENT,
        "reason": reason,
        "ts": now_ms(),
    });
    app.operators.tell(person, "sessions.changed", &payload);
}

/// The text with more, in locked memory; nothing if it becomes too long or the memory is full.
fn longer(mut text: String, more: &str) -> Option<String> {
    let fits = text.len() + more.len() <= WHOLE_MAX && arena::append(&mut text, more).is_ok();
    fits.then_some(text)
}

/// Why there is no response with the text of a whole reply.
fn too_long(is_kept: bool, notices: &[Notice]) -> Failure {
    let mut said =
        "the reply cannot be sent as one: it is longer than 256 KiB, or the gateway's memory is full"
            .to_owned();
    if is_kept {
        said.push_str(". Its session has it");
    }
    for notice in notices {
        said.push_str(". ");
        said.push_str(notice.message.trim_end_matches('.'));
    }
    Failure::Unavailable(said.into(), None)
}

/// A reply as a message.
fn assistant(text: &str) -> Value {
    json!({
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "timestamp": now_ms(),
    })
}
