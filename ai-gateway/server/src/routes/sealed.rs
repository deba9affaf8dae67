//! Sealed chat: `docs/protocols/sealed-chat.md`.

use std::sync::Arc;

use ai_gateway_api::{
    endpoints::{CHAT, KEYS},
    kind,
    sealed::{
        Chat, Event, History, Input, KeyDocument, Operation, PlaintextError, Request,
        SessionMessage, encode_events, event,
    },
};
use axum::{Extension, Json, body::Bytes, extract::State, response::Response};
use chassis::endpoint::{Served, serve};
use chat_vocabulary::{ChatRequest, Message};
use futures_util::{StreamExt as _, stream};
use hpke_envelope::{gateway::Opened, reply::ReplySealer};
use mesh_identity::{Header, Person};
use messages::Language;

use super::{body::Body, sse, surface::Listener};
use crate::{
    App, Error, arena,
    chat::{AnsweringModel, Ending, Run, Step, carry_out, compose, compose_session},
    commands,
    sessions::{NotKept, Record, Turn},
};

/// Locked memory of a request per byte of its body: the plaintext decoded and composed, and the reply.
const PER_BODY_BYTE: usize = 3;
/// Most text in one chunk of a history.
const HISTORY_CHUNK: usize = 16 << 10;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<Arc<App>>; 2] {
    [serve(&CHAT, chat), serve(&KEYS, keys)]
}

/// The signed key document.
async fn keys(State(app): State<Arc<App>>) -> Result<Json<KeyDocument>, Error> {
    app.document().map(Json).map_err(|_| Error::Busy)
}

/// Opens a sealed request and answers with sealed events.
async fn chat(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Header>,
    Extension(listener): Extension<Listener>,
    body: Body,
) -> Result<Response, Error> {
    let opened = open(&app, &caller, listener, body);
    let Opened { mut plaintext, reply, .. } =
        opened.inspect_err(|error| app.metrics.refuse(error.reason()))?;
    let operation = arena::locked(|inside| Operation::decode(&mut plaintext, inside));
    drop(plaintext);

    let person = caller.identity.person();
    let answer = match operation {
        Ok(Operation::Chat(chat)) => begin(&app, person, chat).await,
        Ok(Operation::History(history)) => recall(&app, &person, &history).await,
        Err(PlaintextError::Session(_)) => Err(Error::Request("the session's name is too long")),
        Ok(_)
        | Err(PlaintextError::Decode(_) | PlaintextError::Operation | PlaintextError::Field) => {
            Err(Error::Request("this gateway does not support the sealed operation"))
        }
    };
    let answer = answer.unwrap_or_else(|error| Answer::Events(vec![failure(&error)]));
    Ok(respond(app, reply, answer))
}

/// Opens a request that was sealed with a device key of the caller. On telmeet's listener only this proves the identity
/// that telmeet claims; from then on the request counts against that person.
fn open(app: &App, caller: &Header, listener: Listener, body: Body) -> Result<Opened, Error> {
    let body = body.0?;
    let request = Request::decode(&body)?;
    if !app.devices.is_bound(request.device_pubkey, &caller.identity) {
        return Err(Error::Device);
    }
    if !arena::has_room(body.len() * PER_BODY_BYTE) {
        return Err(Error::Busy);
    }
    let opened = app.open(&request)?;
    if listener == Listener::Plugin {
        app.limiter.count_proven(&caller.identity.person()).map_err(Error::Exceeded)?;
    }
    Ok(opened)
}

/// The answer to seal.
enum Answer {
    /// Complete.
    Events(Vec<Event>),
    /// A model's reply in progress.
    Reply(Run),
}

async fn begin(app: &Arc<App>, person: Person, chat: Chat) -> Result<Answer, Error> {
    let Chat { session, input, model, options, language } = chat;
    if let Input::Text(text) = &input
        && let Some(command) = commands::parse(text)
    {
        let language = Language::accepted(language.as_deref().unwrap_or_default());
        let said = carry_out(app, &person, session.as_ref(), command, language).await?;
        return Ok(Answer::Events(vec![Event::Delta(said)]));
    }
    let chosen = || session.as_ref().and_then(|session| app.session_models.of(&person).of(session));
    let model = model.or_else(chosen);
    let (messages, record) = match (input, session) {
        (Input::Messages(messages), _) => (messages, None),
        (Input::Text(text), None) => (arena::locked(|_| vec![Message::user(text)]), None),
        (Input::Text(text), Some(session)) => {
            // A question is answered also if nothing can be read and kept.
            let history = app.sessions.history(&person, &session).await;
            let readable = history.as_ref().map(|_| ()).map_err(|reason| *reason);
            let mut messages = history.unwrap_or_default();
            let record = arena::locked(|_| {
                messages.push(Message::user(text.as_str()));
                readable.map(|()| Record { person: person.clone(), session, question: text })
            });
            (messages, Some(record))
        }
    };
    if messages.is_empty() {
        return Err(Error::Request("the conversation is empty"));
    }
    // Old messages of a session are dropped if they do not fit. A client's own messages are never dropped.
    let messages = match record {
        Some(_) => compose_session(app, &person, model.as_deref(), messages).await?,
        None => compose(app, &person, model.as_deref(), messages).await?,
    };
    if !arena::has_room(messages.iter().map(Message::size).sum()) {
        return Err(Error::Busy);
    }
    let request = ChatRequest { model, messages, options, ..ChatRequest::default() };
    let reply = Run::start(app, "sealed", &person, request, record)?;
    Ok(Answer::Reply(reply))
}

/// The messages of the caller's own session.
async fn recall(app: &App, person: &Person, history: &History) -> Result<Answer, Error> {
    let messages = app.sessions.history(person, &history.session).await?;
    let message = |message: Message| {
        let content = arena::locked(|_| message.content.text().into_owned());
        Event::Message(SessionMessage { role: message.role, content, number: None, time: None })
    };
    Ok(Answer::Events(messages.into_iter().map(message).collect()))
}

fn failure(error: &Error) -> Event {
    Event::Error { kind: error.name().to_owned(), message: error.message() }
}

fn not_kept(reason: NotKept) -> Event {
    let message = format!("This turn is not kept: {reason}. {}", reason.advice());
    Event::Notice { kind: kind::NOT_KEPT.to_owned(), message }
}

/// Seals the answer, event by event.
fn respond(app: Arc<App>, sealer: ReplySealer, answer: Answer) -> Response {
    let start = sse::event(event::START, &sealer.start());
    let sealing = SealedStream { app, sealer, answer, ending: Ending::default() };
    let rest = stream::unfold(Some(sealing), async |sealing| sealing?.next().await);
    sse::response(stream::iter([start]).chain(rest))
}

/// A reply that is being sealed and sent. Only [`Self::finish`] writes `final`; a client treats a reply without it as
/// cut. A turn of a session is on the disk before that, or a notice says that it is not.
struct SealedStream {
    app: Arc<App>,
    sealer: ReplySealer,
    answer: Answer,
    ending: Ending,
}

impl SealedStream {
    /// The next event, and the rest of the stream.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        loop {
            let events = match &mut self.answer {
                Answer::Events(events) => {
                    let part = first_part(events);
                    if events.is_empty() {
                        return self.finish(part);
                    }
                    part
                }
                Answer::Reply(reply) => match reply.next().await {
                    None => return self.finish(Vec::new()),
                    Some(Step::Failed(failed)) => {
                        return self.finish(vec![failure(&Error::Model(failed))]);
                    }
                    Some(Step::Refused(exceeded)) => {
                        return self.finish(vec![failure(&Error::Exceeded(exceeded))]);
                    }
                    Some(Step::Turn(turn)) => {
                        let kept = self.keep(turn).await;
                        return self.finish(kept.err().map(not_kept).into_iter().collect());
                    }
                    Some(Step::Started) => continue,
                    Some(Step::Model(AnsweringModel { model, evidence })) => {
                        let evidence = evidence.map(|it| Event::Evidence((*it).clone()));
                        [Event::Model(model.to_string())].into_iter().chain(evidence).collect()
                    }
                    Some(Step::Delta(delta)) => {
                        self.ending.take(&delta);
                        if delta.content.is_empty() {
                            continue;
                        }
                        vec![Event::Delta(delta.content)]
                    }
                },
            };
            let chunk = arena::locked(|_| self.sealer.chunk(&encode_events(&events)));
            let Ok(chunk) = chunk else {
                tracing::error!("part of a reply is too long to seal; the reply is cut");
                return None;
            };
            return Some((sse::event(event::CHUNK, &chunk), Some(self)));
        }
    }

    async fn keep(&self, turn: Result<Turn, NotKept>) -> Result<(), NotKept> {
        self.app.sessions.append(&turn?).await
    }

    /// The last event.
    fn finish(self, mut events: Vec<Event>) -> Option<(Bytes, Option<Self>)> {
        events.extend(self.ending.usage.map(Event::Usage));
        let failed = events.iter().any(|event| matches!(event, Event::Error { .. }));
        events.extend(self.ending.finish_reason.filter(|_| !failed).map(Event::Finish));
        let sealed = arena::locked(|_| self.sealer.finish(&encode_events(&events)));
        sealed.ok().map(|sealed| (sse::event(event::FINAL, &sealed), None))
    }
}

/// Takes as many events as fit into one chunk.
fn first_part(events: &mut Vec<Event>) -> Vec<Event> {
    let mut size = 0;
    let most = events.iter().take_while(|event| {
        size += match event {
            Event::Message(message) => message.content.len(),
            Event::Model(text) | Event::Delta(text) => text.len(),
            Event::Evidence(_)
            | Event::Conversation(_)
            | Event::Found(_)
            | Event::RecoveryCode(_)
            | Event::Notice { .. }
            | Event::Usage(_)
            | Event::Finish(_)
            | Event::Error { .. } => 0,
        };
        size <= HISTORY_CHUNK
    });
    let count = most.count().max(1).min(events.len());
    events.drain(..count).collect()
}
