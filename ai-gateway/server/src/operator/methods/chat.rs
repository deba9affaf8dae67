//! Chats: a question to the model, its reply's end, and the messages of a session.

use ai_gateway_api::sealed::SessionName;
use chat_vocabulary::{ChatRequest, Message};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{agents, sessions};
use crate::{
    Error, arena,
    chat::{Run, carry_out, compose_session},
    commands::{self, Command, Verb},
    operator::{
        caller::Caller,
        frame::{Failure, Request},
        key,
        people::RunStart,
        run::{self, RunEvents},
    },
    sessions::Record,
};

/// Longest key of a run, in bytes.
const KEY_MAX: usize = 256;
/// Messages of a history, unless the client says how many (OpenClaw's default).
const HISTORY: usize = 200;
/// Locked memory for a question per byte: as it was read, and for the model.
const PER_QUESTION_BYTE: usize = 2;

/// A method of this file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Send,
    Abort,
    History,
    Startup,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send {
    session_key: String,
    message: String,
    idempotency_key: String,
    #[serde(default)]
    attachments: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Abort {
    session_key: String,
    #[serde(default)]
    run_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    session_key: String,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
    /// Positions are not given out, so that one that comes is of another gateway.
    #[serde(default)]
    cursor: Option<IgnoredAny>,
}

impl Call {
    pub(super) async fn run(
        self,
        caller: &Caller<'_>,
        request: &Request<'_>,
    ) -> Result<Value, Failure> {
        match self {
            Self::Send => {
                if !arena::has_room(request.len() * PER_QUESTION_BYTE) {
                    return Err(Error::Busy.into());
                }
                send(caller, arena::locked(|_| request.params())?).await
            }
            Self::Abort => abort(caller, &request.params()?),
            Self::History => history(caller, &request.params()?).await,
            Self::Startup => {
                let mut startup = history(caller, &request.params()?).await?;
                startup["agentsList"] = agents::list();
                startup["metadata"] = agents::metadata(caller.app);
                Ok(startup)
            }
        }
    }
}

/// Begins a run, once for each key.
async fn send(caller: &Caller<'_>, send: Send) -> Result<Value, Failure> {
    let session = key::session(&send.session_key)?;
    if !send.attachments.is_empty() {
        return Err(Failure::Invalid("this gateway takes no attachments".into()));
    }
    let id = send.idempotency_key;
    if !(1..=KEY_MAX).contains(&id.len()) {
        return Err(Failure::Invalid("an idempotencyKey has 1 to 256 bytes".into()));
    }
    if send.message.trim().is_empty() {
        return Err(Failure::Invalid("the message is empty".into()));
    }
    let operators = &caller.app.operators;
    let place = match operators.begin(caller.person, &id, &session) {
        Ok(RunStart::Run(place)) => place,
        Ok(RunStart::Repeated { is_active }) => {
            let status = if is_active { "in_flight" } else { "ok" };
            return Ok(json!({"runId": id, "status": status}));
        }
        Err(_) => {
            let text = "you have as many replies in progress as one person may have";
            return Err(Failure::Unavailable(text.into(), None));
        }
    };
    let (app, person) = (caller.app.clone(), caller.person.clone());
    let events = RunEvents { app, person, session: session.clone(), id: id.clone() };
    let command = match commands::parse(&send.message) {
        Some(Ok(Command { verb: Verb::Stop, .. })) => {
            drop(place);
            return Ok(aborted(&operators.abort(caller.person, &session, None)));
        }
        Some(command) => command,
        None => {
            return match begin(caller, session, send.message).await {
                Ok(run) => {
                    events.start(run, place);
                    Ok(json!({"runId": id, "status": "started"}))
                }
                Err(error) => {
                    place.undo();
                    Err(error.into())
                }
            };
        }
    };
    let language = caller.connected.language;
    match carry_out(caller.app, caller.person, Some(&session), command, language).await {
        Ok(said) => {
            run::changed(caller.app, caller.person, &session, "command");
            events.answer(&said);
            Ok(json!({"runId": id, "status": "ok"}))
        }
        Err(error) => {
            place.undo();
            Err(error.into())
        }
    }
}

/// Asks the model what follows in a session. A question is answered also if nothing can be read and kept.
async fn begin(caller: &Caller<'_>, session: SessionName, question: String) -> Result<Run, Error> {
    let (app, person) = (caller.app, caller.person);
    let model = app.session_models.of(person).of(&session);
    let history = app.sessions.history(person, &session).await;
    let readable = history.as_ref().map(|_| ()).map_err(|reason| *reason);
    let mut messages = history.unwrap_or_default();
    let record = arena::locked(|_| {
        messages.push(Message::user(question.as_str()));
        readable.map(|()| Record { person: person.clone(), session, question })
    });
    let messages = compose_session(app, person, model.as_deref(), messages).await?;
    if !arena::has_room(messages.iter().map(Message::size).sum()) {
        return Err(Error::Busy);
    }
    let request = ChatRequest { model, messages, ..ChatRequest::default() };
    Run::start(app, "openclaw", person, request, Some(record))
}

fn abort(caller: &Caller<'_>, abort: &Abort) -> Result<Value, Failure> {
    let session = key::session(&abort.session_key)?;
    let run = abort.run_id.as_deref();
    Ok(aborted(&caller.app.operators.abort(caller.person, &session, run)))
}

fn aborted(runs: &[String]) -> Value {
    json!({"ok": true, "aborted": !runs.is_empty(), "runIds": runs})
}

/// The newest messages of a session.
async fn history(caller: &Caller<'_>, history: &History) -> Result<Value, Failure> {
    if history.cursor.is_some() {
        return Ok(json!({"kind": "reset"}));
    }
    let session = key::session(&history.session_key)?;
    let messages = caller.app.sessions.history(caller.person, &session).await;
    let messages = messages.map_err(Error::from)?;
    let total = messages.len();
    let end = total.saturating_sub(history.offset);
    let start = end.saturating_sub(history.limit.unwrap_or(HISTORY));
    let page: Vec<_> = messages.get(start..end).unwrap_or_default().iter().map(message).collect();
    Ok(json!({
        "sessionKey": key::of(&session),
        "sessionId": session.as_str(),
        "messages": page,
        "offset": history.offset,
        "hasMore": start > 0,
        "totalMessages": total,
        "sessionInfo": sessions::described(caller, &session).await?,
    }))
}

fn message(message: &Message) -> Value {
    json!({
        "role": message.role,
        "content": [{"type": "text", "text": message.content.text()}],
    })
}
