//! Rooms, for the participant: `docs/protocols/plugin.md`.
//!
//! The participant has a socket of its own. It sends no identity: the socket's only caller is its identity.

use std::{sync::Arc, time::Duration};

use ai_gateway_api::{
    endpoints::{ROOM_MESSAGES, ROOM_SETTINGS},
    rooms::{Delta, Final, Finish, MAX_BODY, MAX_REPLY, RoomMessage, Settings, event},
};
use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use chassis::{
    accept::Connections,
    endpoint::{self, Served},
    http::Http,
    unix::Socket,
};
use chat_vocabulary::{ChatRequest, FinishReason};
use futures_util::stream;
use mesh_identity::Person;
use mesh_listener::Refusal;
use telmeet_api::plugin::HOST;
use tokio::task::spawn_blocking;

use super::{
    begin::ReplyReader,
    body::{Body, MaxBody},
    sse,
};
use crate::{
    App, Error,
    chat::compose_room,
    rooms::{Command, ReplyPermit},
};

/// The label of rooms in the counters.
const SURFACE: &str = "rooms";

/// Connections at a time: one for each reply in progress, and some to be refused with a reason.
const CONNECTIONS: usize = 32;
/// Timeout of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Timeout of a request and its reply, which waits in the queue first.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// Time for replies to end at shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// Endpoints of this socket.
pub(super) fn endpoints() -> Vec<Served<Arc<App>>> {
    vec![endpoint::serve(&ROOM_SETTINGS, settings), endpoint::serve(&ROOM_MESSAGES, answer)]
}

/// Serves the participant, whose uid this is, until `stop` completes.
pub(crate) async fn serve(
    socket: Socket,
    participant: u32,
    app: &Arc<App>,
    stop: impl Future<Output = ()>,
) {
    let router = endpoint::router(endpoints())
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::Method)
        .layer(from_fn_with_state(Arc::clone(app), admit))
        .with_state(Arc::clone(app));
    let connect = |stream, uid, stopping| {
        if uid != participant {
            tracing::warn!(uid, "only the participant may use this socket: connection refused");
            return None;
        }
        Some(Http::new(HEAD).one_request(WHOLE).route(stream, router.clone(), (), stopping))
    };
    let connections = Connections::new("connections of the participant", CONNECTIONS).drain(DRAIN);
    connections.serve(socket, stop, connect).await;
}

/// Refuses a request to another name, limits its body, and counts the answer.
async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_ours = hosts.next().is_some_and(|host| host == HOST) && hosts.next().is_none();
    request.extensions_mut().insert(MaxBody(MAX_BODY));
    let response = if is_ours {
        next.run(request).await
    } else {
        Error::Listener(Refusal::Host).into_response()
    };
    app.metrics.answer(SURFACE, response.status().as_u16());
    response
}

/// Which messages are answered.
async fn settings(State(app): State<Arc<App>>) -> Json<Settings> {
    Json(app.rooms.policy().settings.clone())
}

/// Answers a message, unless the settings leave it unanswered.
async fn answer(State(app): State<Arc<App>>, body: Body) -> Result<Response, Error> {
    begin(&app, body).await.inspect_err(|error| app.metrics.refuse(error.name()))
}

async fn begin(app: &Arc<App>, body: Body) -> Result<Response, Error> {
    let message = RoomMessage::decode(body.0?)?;
    let policy = app.rooms.policy();
    if !policy.answers(&message) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let admitted = app.rooms.admission.admit(&message.room.id, &message.sender.id);
    let permit = admitted.map_err(Error::Exceeded)?;
    record(app, &message).await?;
    let assistant = &policy.settings.assistant_name;
    if let Some(command) = Command::parse(&message.text, assistant) {
        let text = command.answer(&message, &app.models, &app.rooms.models);
        return Ok(sse::response(stream::iter([last(text, Finish::Stop)])));
    }
    let person = Person::Room(message.room.id.to_string());
    let model = app.rooms.models.of(&message.room.id);
    let messages = compose_room(app, &person, model.as_deref(), assistant, &message).await?;
    let request = ChatRequest { model, messages, stream: true, ..ChatRequest::default() };
    let reader = ReplyReader::begin(app, SURFACE, &person, request).await?;
    let reply = RoomReply { reader, text: String::new(), _permit: permit };
    let events = stream::unfold(Some(reply), async |reply| reply?.next().await);
    Ok(sse::response(events))
}

/// Records the event, on disk, before anything is done for it.
async fn record(app: &Arc<App>, message: &RoomMessage) -> Result<(), Error> {
    let (app, event, attempt) = (Arc::clone(app), message.event_id.clone(), message.attempt);
    let recorded = spawn_blocking(move || app.rooms.events.record(&event, attempt));
    if recorded.await.map_err(|_| Error::Busy)?? { Ok(()) } else { Err(Error::Repeated) }
}

/// A reply that is being sent. If it fails, it ends without `final`: it was cut.
struct RoomReply {
    reader: ReplyReader,
    text: String,
    _permit: ReplyPermit,
}

impl RoomReply {
    /// The next events, and the rest of the stream.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        loop {
            let Some(delta) = self.reader.next().await.ok()? else {
                let finish = finish(self.reader.ending.finish_reason);
                return Some((last(self.text, finish), None));
            };
            let (piece, rest) = split(&delta.content, MAX_REPLY - self.text.len());
            self.text.push_str(piece);
            if !rest.is_empty() {
                return Some((last(self.text, Finish::Length), None));
            }
            if !piece.is_empty() {
                let delta = Delta { text: piece.to_owned() };
                return Some((sse::event(event::DELTA, &delta), Some(self)));
            }
        }
    }
}

/// The first `most` bytes of a text at most, and the rest.
fn split(text: &str, most: usize) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(most))
}

fn finish(reason: Option<FinishReason>) -> Finish {
    match reason {
        Some(FinishReason::Yielded) => Finish::Cut,
        Some(FinishReason::Length) => Finish::Length,
        Some(
            FinishReason::Stop
            | FinishReason::ToolCalls
            | FinishReason::ContentFilter
            | FinishReason::Other,
        )
        | None => Finish::Stop,
    }
}

/// The last event.
fn last(text: String, finish: Finish) -> Bytes {
    sse::event(event::FINAL, &Final { text, finish })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_split_between_characters() {
        assert_eq!(split("eggs", 4), ("eggs", ""));
        assert_eq!(split("eggs", 0), ("", "eggs"));
        assert_eq!(split("달걀", 4), ("달", "걀"));
    }

    #[test]
    fn a_preempted_reply_is_cut_and_a_long_one_is_not() {
        assert_eq!(finish(Some(FinishReason::Yielded)), Finish::Cut);
        assert_eq!(finish(Some(FinishReason::Length)), Finish::Length);
        assert_eq!((finish(Some(FinishReason::Stop)), finish(None)), (Finish::Stop, Finish::Stop));
    }
}
