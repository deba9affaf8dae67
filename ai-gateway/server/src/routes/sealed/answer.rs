//! Seals an answer, event by event.

use ai_gateway_api::sealed::{Event, encode_events, event};
use axum::{body::Bytes, response::Response};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use hpke_envelope::reply::ReplySealer;

use super::super::sse;
use crate::{
    Error, arena,
    chat::{AnsweringModel, ChatReply, Ending, Notice, ReplyEvent},
};

/// Most text in one chunk of stored messages.
const CHUNK: usize = 16 << 10;

/// The answer to seal.
pub(super) enum Answer {
    /// Events in parts, up to the end or an error.
    Events(BoxStream<'static, Result<Vec<Event>, Error>>),
    /// A model's reply in progress.
    Reply(ChatReply),
}

impl From<Result<Vec<Event>, Error>> for Answer {
    fn from(events: Result<Vec<Event>, Error>) -> Self {
        Self::Events(stream::iter([events]).boxed())
    }
}

fn failure(error: &Error) -> Event {
    Event::Error { kind: error.name().to_owned(), message: error.message() }
}

/// Seals the answer, event by event.
pub(super) fn respond(sealer: ReplySealer, answer: Answer) -> Response {
    let start = sse::event(event::START, &sealer.start());
    let (pending, ending) = (Vec::new(), Ending::default());
    let sealing = SealedStream { sealer, answer, pending, ending };
    let rest = stream::unfold(Some(sealing), async |sealing| sealing?.next().await);
    sse::response(stream::iter([start]).chain(rest))
}

/// A reply that is being sealed and sent. Only [`Self::finish`] writes `final`; a client treats a reply without it as
/// cut. A turn of a session is on the disk before that, or a notice says that it is not.
struct SealedStream {
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
                    Answer::Reply(reply) => match reply.next().await {
                        None => return self.finish(Vec::new()),
                        Some(Err(error)) => return self.finish(vec![failure(&error)]),
                        Some(Ok(ReplyEvent::Turn(turn))) => {
                            if let Err(error) = reply.end_turn(turn).await {
                                return self.finish(vec![failure(&error)]);
                            }
                        }
                        Some(Ok(ReplyEvent::Notice(Notice { kind, message }))) => {
                            self.pending.push(Event::Notice { kind: kind.to_owned(), message });
                        }
                        Some(Ok(ReplyEvent::Model(AnsweringModel { model, evidence }))) => {
                            let evidence = evidence.map(|it| Event::Evidence((*it).clone()));
                            self.pending.push(Event::Model(model.to_string()));
                            self.pending.extend(evidence);
                        }
                        Some(Ok(ReplyEvent::Delta(delta))) => {
                            self.ending.take(&delta);
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
