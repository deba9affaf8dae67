//! Seals an answer, event by event.

use std::sync::Arc;

use ai_gateway_api::{
    kind,
    sealed::{Event, encode_events, event},
};
use axum::{body::Bytes, response::Response};
use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use hpke_envelope::reply::ReplySealer;
use mesh_identity::Person;

use super::super::sse;
use crate::{
    App, Error, arena,
    chat::{AnsweringModel, Ending, RememberCalls, Run, Step},
    sessions::{CompletedTurn, NotKept},
};

/// Most text in one chunk of stored messages.
const CHUNK: usize = 16 << 10;

/// The answer to seal.
pub(super) enum Answer {
    /// Events in parts, up to the end or an error.
    Events(BoxStream<'static, Result<Vec<Event>, Error>>),
    /// A model's reply in progress.
    Reply(Run, Option<Box<Calls>>),
    /// The beginning of a reply, for which the model first summarizes what is too long for it.
    Summarizing(BoxFuture<'static, Result<Begun, Error>>),
}

/// The calls of a reply whose model may add to the person's memory.
pub(super) struct Calls {
    pub(super) person: Person,
    pub(super) calls: RememberCalls,
}

/// A reply to a question in a session.
pub(super) struct Begun {
    pub(super) reply: Run,
    pub(super) calls: Option<Box<Calls>>,
    /// What to say if no summary stands for what is left out of the prompt.
    pub(super) cut: Option<String>,
}

impl From<Result<Vec<Event>, Error>> for Answer {
    fn from(events: Result<Vec<Event>, Error>) -> Self {
        Self::Events(stream::iter([events]).boxed())
    }
}

fn failure(error: &Error) -> Event {
    Event::Error { kind: error.name().to_owned(), message: error.message() }
}

fn not_kept(reason: NotKept) -> Event {
    let message = format!("This turn is not kept: {reason}. {}", reason.advice());
    notice(kind::NOT_KEPT, message)
}

fn notice(kind: &str, message: String) -> Event {
    Event::Notice { kind: kind.to_owned(), message }
}

/// Seals the answer, event by event.
pub(super) fn respond(app: Arc<App>, sealer: ReplySealer, answer: Answer) -> Response {
    let start = sse::event(event::START, &sealer.start());
    let (pending, ending) = (Vec::new(), Ending::default());
    let sealing = SealedStream { app, sealer, answer, pending, ending };
    let rest = stream::unfold(Some(sealing), async |sealing| sealing?.next().await);
    sse::response(stream::iter([start]).chain(rest))
}

/// A reply that is being sealed and sent. Only [`Self::finish`] writes `final`; a client treats a reply without it as
/// cut. A turn of a session is on the disk before that, or a notice says that it is not.
struct SealedStream {
    app: Arc<App>,
    sealer: ReplySealer,
    answer: Answer,
    /// The rest of a part.
    pending: Vec<Event>,
    ending: Ending,
}

impl SealedStream {
    /// The next event, and the rest of the stream.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        loop {
            if self.pending.is_empty() {
                match &mut self.answer {
                    Answer::Events(parts) => match parts.next().await {
                        None => return self.finish(Vec::new()),
                        Some(Err(error)) => return self.finish(vec![failure(&error)]),
                        Some(Ok(events)) => self.pending = events,
                    },
                    Answer::Summarizing(begun) => match begun.await {
                        Err(error) => return self.finish(vec![failure(&error)]),
                        Ok(Begun { reply, calls, cut }) => {
                            self.answer = Answer::Reply(reply, calls);
                            self.pending.extend(cut.map(|message| notice(kind::CUT, message)));
                        }
                    },
                    Answer::Reply(reply, calls) => match reply.next().await {
                        None => return self.finish(Vec::new()),
                        Some(Step::Failed(failed)) => {
                            return self.finish(vec![failure(&Error::Model(failed))]);
                        }
                        Some(Step::Refused(exceeded)) => {
                            return self.finish(vec![failure(&Error::Exceeded(exceeded))]);
                        }
                        Some(Step::Turn(turn)) => {
                            match end_turn(&self.app, calls.take(), turn).await {
                                Err(error) => return self.finish(vec![failure(&error)]),
                                Ok((notices, None)) => return self.finish(notices),
                                Ok((notices, Some(reply))) => {
                                    self.answer = Answer::Reply(reply, None);
                                    self.pending = notices;
                                }
                            }
                        }
                        Some(Step::Started) => {}
                        Some(Step::Model(AnsweringModel { model, evidence })) => {
                            let evidence = evidence.map(|it| Event::Evidence((*it).clone()));
                            self.pending.push(Event::Model(model.to_string()));
                            self.pending.extend(evidence);
                        }
                        Some(Step::Delta(delta)) => {
                            self.ending.take(&delta);
                            if let Some(calls) = calls {
                                calls.calls.take(&delta);
                            }
                            if !delta.content.is_empty() {
                                self.pending.push(Event::Delta(delta.content));
                            }
                        }
                    },
                }
                continue;
            }
            return self.send();
        }
    }

    /// A chunk, and the rest of the stream.
    fn send(mut self) -> Option<(Bytes, Option<Self>)> {
        let events = first_part(&mut self.pending);
        let chunk = arena::locked(|_| self.sealer.chunk(&encode_events(&events)));
        let Ok(chunk) = chunk else {
            tracing::error!("part of a reply is too long to seal; the reply is cut");
            return None;
        };
        Some((sse::event(event::CHUNK, &chunk), Some(self)))
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

/// Carries out the calls of a whole reply. Returns what the person is told, and the next reply if this one has no text;
/// without one, the turn is kept.
async fn end_turn(
    app: &Arc<App>,
    calls: Option<Box<Calls>>,
    turn: Result<CompletedTurn, NotKept>,
) -> Result<(Vec<Event>, Option<Run>), Error> {
    let mut told = Vec::new();
    if let Some(calls) = calls {
        let Calls { person, calls } = *calls;
        let (notices, reply) = calls.carry_out(app, &person).await?;
        if reply.is_some() {
            return Ok((notices, reply));
        }
        told = notices;
    }
    told.extend(keep(app, turn).await.err().map(not_kept));
    Ok((told, None))
}

async fn keep(app: &App, turn: Result<CompletedTurn, NotKept>) -> Result<(), NotKept> {
    app.sessions.append(&turn?).await
}

/// Takes as many events as fit into one chunk, but one at least.
fn first_part(events: &mut Vec<Event>) -> Vec<Event> {
    let mut size = 0;
    let most = events.iter().take_while(|event| {
        size += match event {
            Event::Message(message) => message.content.len(),
            Event::Memory(file) => file.text.len(),
            Event::Found(found) => found.excerpt.len(),
            Event::Conversation(conversation) => {
                size_of_val(conversation) + conversation.name.len()
            }
            Event::Model(text) | Event::Delta(text) | Event::RecoveryCode(text) => text.len(),
            Event::Evidence(_)
            | Event::Notice { .. }
            | Event::Usage(_)
            | Event::Finish(_)
            | Event::Error { .. } => 0,
        };
        size <= CHUNK
    });
    let count = most.count().max(1).min(events.len());
    events.drain(..count).collect()
}
