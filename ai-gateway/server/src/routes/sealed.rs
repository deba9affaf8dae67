//! Sealed chat: `docs/protocols/sealed-chat.md`.

mod answer;
mod export;
mod operations;

use std::{borrow::Cow, sync::Arc};

use ai_gateway_api::{
    endpoints::{CHAT, KEYS},
    sealed::{Chat, Event, Input, KeyDocument, Operation, PlaintextError, Request},
};
use axum::{Extension, Json, extract::State, response::Response};
use chassis::endpoint::{Served, serve};
use chat_vocabulary::{ChatRequest, Message, Role};
use hpke_envelope::gateway::Opened;
use mesh_identity::{Header, Person};
use messages::Language;

use super::{body::Body, surface::Listener};
use crate::{
    App, Error, arena,
    chat::{ChatReply, Question, answer_command, compose},
    memory,
};
use answer::{Answer, respond};

/// Locked memory of a request per byte of its body: the plaintext decoded and composed, and the reply.
const PER_BODY_BYTE: usize = 3;
/// This API in the metrics.
const SURFACE: &str = "sealed";

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
        Ok(Operation::Memory(operation)) => {
            memory::perform(&app, &person, operation).await.map(|events| Answer::from(Ok(events)))
        }
        Ok(operation) => operations::answer(&app, &person, &operation).await,
        Err(PlaintextError::Session(_)) => Err(Error::Request("the session's name is too long")),
        Err(PlaintextError::Memory(_)) => Err(Error::Request(
            "the memory's files are MEMORY.md, USER.md and memory/YYYY-MM-DD.md",
        )),
        Err(PlaintextError::Decode(_) | PlaintextError::Operation | PlaintextError::Field) => {
            Err(Error::Request("this gateway does not support the sealed operation"))
        }
    };
    Ok(respond(reply, answer.unwrap_or_else(|error| Answer::from(Err(error)))))
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

async fn begin(app: &Arc<App>, person: Person, chat: Chat) -> Result<Answer, Error> {
    let Chat { session, input, model, options, language } = chat;
    let language = Language::accepted(language.as_deref().unwrap_or_default());
    let asked = arena::locked(|_| asked(&input));
    if let Some(said) = answer_command(app, &person, session.as_ref(), &asked, language).await {
        return Ok(Answer::from(Ok(vec![Event::Delta(said?)])));
    }
    drop(asked);
    let model = match (model, &session) {
        (None, Some(session)) => app.sessions.model(&person, session).await?,
        (model, _) => model,
    };
    let messages = match (input, session) {
        (Input::Messages(messages), _) => messages,
        (Input::Text(text), None) => arena::locked(|_| vec![Message::user(text)]),
        (Input::Text(text), Some(session)) => {
            let question = Question { session, text, model, options, language, surface: SURFACE };
            return Ok(Answer::Reply(ChatReply::begin(app, &person, question).await?));
        }
    };
    if messages.is_empty() {
        return Err(Error::Request("the conversation is empty"));
    }
    // A client's own messages are never dropped.
    let messages = compose(app, &person, model.as_deref(), messages).await?;
    let request = ChatRequest { model, messages, options, ..ChatRequest::default() };
    Ok(Answer::Reply(ChatReply::begin_unrecorded(app, &person, SURFACE, request)?))
}

/// The message that is answered.
fn asked(input: &Input) -> Cow<'_, str> {
    match input {
        Input::Text(text) => text.into(),
        Input::Messages(messages) => match messages.last() {
            Some(last) if last.role == Role::User => last.content.text(),
            Some(_) | None => "".into(),
        },
    }
}
