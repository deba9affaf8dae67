//! Chats: a question to the model, its reply's end, and the messages of a session.

use std::collections::VecDeque;

use ai_gateway_api::sealed::{self, SessionName};
use chat_vocabulary::Options;
use conversations::NumberedMessage;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{agents, sessions};
use crate::{
    Error, arena,
    chat::{ChatReply, Question, answer_command},
    commands::{self, Command, Verb},
    operator::{
        caller::Caller,
        frame::{Failure, Request},
        key,
        people::{RunPermit, RunStart, RunState},
        run::{self, LateResponse, RunEvents},
    },
    sessions::OperationError,
};

/// Longest key of a run, in bytes.
const KEY_MAX: usize = 256;
/// Messages of a history, unless the client says how many (OpenClaw's default).
const HISTORY: u64 = 200;
/// Runs that a client may ask for at once (OpenClaw's bound).
const RECEIPTS_MAX: usize = 50;
/// Text of a history, in bytes; one message at least.
const HISTORY_BYTES: usize = 512 << 10;
/// Messages that are read at a time.
const PAGE: u64 = 16;
/// Locked memory for a question per byte: as it was read, and for the model.
const PER_QUESTION_BYTE: usize = 2;
/// This API in the metrics.
const SURFACE: &str = "openclaw";

/// A method of this file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Send,
    Abort,
    /// `sessions.abort`, with another answer than [`Self::Abort`].
    AbortSession,
    History,
    Startup,
}

/// Of `chat.send` and `sessions.send`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send {
    session_key: Option<String>,
    key: Option<String>,
    message: String,
    idempotency_key: String,
    #[serde(default)]
    attachments: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Abort {
    session_key: String,
    run_id: Option<String>,
}

/// Of `sessions.abort`: a session, a run, or both.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AbortSession {
    key: Option<String>,
    run_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    session_key: String,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    offset: u64,
    /// Positions are not given out, so that one that comes is of another gateway.
    #[serde(default)]
    cursor: Option<IgnoredAny>,
    /// Runs of which the client does not know whether they began.
    input_run_ids: Option<Vec<String>>,
}

impl Call {
    pub(super) async fn run(
        self,
        caller: &Caller<'_>,
        request: &Request<'_>,
    ) -> Result<Value, Failure> {
        match self {
            Self::Send => {
                if !arena::has_room(locked_bytes(request)) {
                    return Err(Error::Busy.into());
                }
                send(caller, arena::locked(|_| request.params())?).await
            }
            Self::Abort => abort(caller, &request.params()?),
            Self::AbortSession => abort_session(caller, &request.params()?),
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

/// Locked memory for a request with a question.
pub(super) fn locked_bytes(request: &Request<'_>) -> usize {
    request.len() * PER_QUESTION_BYTE
}

async fn send(caller: &Caller<'_>, send: Send) -> Result<Value, Failure> {
    let Some(session) = send.session_key.or(send.key) else {
        return Err(Failure::Invalid("name a session".into()));
    };
    let session = key::session(&session)?;
    if !send.attachments.is_empty() {
        return Err(Failure::Invalid("this gateway takes no attachments".into()));
    }
    let beginning = Beginning::new(caller, session, send.message, send.idempotency_key).await?;
    // Without a response that comes late, there is one now.
    Ok(begin(caller, beginning).await?.unwrap_or_default())
}

/// A run that is to begin.
pub(super) struct Beginning {
    pub(super) session: SessionName,
    pub(super) text: String,
    /// Its key.
    pub(super) id: String,
    /// `None` is the household's AI.
    pub(super) model: Option<String>,
    /// What is to be answered with the reply.
    pub(super) response: Option<LateResponse>,
}

impl Beginning {
    /// With the session's model, answered at once.
    pub(super) async fn new(
        caller: &Caller<'_>,
        session: SessionName,
        text: String,
        id: String,
    ) -> Result<Self, Error> {
        let model = caller.app.sessions.model(caller.person, &session).await?;
        Ok(Self { session, text, id, model, response: None })
    }
}

/// Begins a run, once for each key, which is its id. `None` if its response was told that it began, and has the reply later.
pub(super) async fn begin(
    caller: &Caller<'_>,
    Beginning { session, text, id, model, response }: Beginning,
) -> Result<Option<Value>, Failure> {
    if !(1..=KEY_MAX).contains(&id.len()) {
        return Err(Failure::Invalid("an idempotencyKey has 1 to 256 bytes".into()));
    }
    if text.trim().is_empty() {
        return Err(Failure::Invalid("the message is empty".into()));
    }
    let operators = &caller.app.operators;
    let place = match operators.begin(caller.person, &id, &session) {
        Ok(RunStart::Run(place)) => place,
        Ok(RunStart::Repeated(state)) if response.is_some() => {
            let why = match state {
                RunState::Active => "this run is in progress: its session gets the reply",
                RunState::Ended => "this run has ended: its session has what was kept of it",
            };
            return Err(Failure::Unavailable(why.into(), None));
        }
        Ok(RunStart::Repeated(state)) => {
            let status = match state {
                RunState::Active => "in_flight",
                RunState::Ended => "ok",
            };
            return Ok(Some(json!({"runId": id, "status": status})));
        }
        Err(_) => {
            let text = "you have as many replies in progress as one person may have";
            return Err(Failure::Unavailable(text.into(), None));
        }
    };
    let (app, person) = (caller.app.clone(), caller.person.clone());
    let events = RunEvents { app, person, session: session.clone(), id: id.clone(), response };
    if let Some(Ok(Command { verb: Verb::Stop, .. })) = commands::parse(&text) {
        place.end();
        return Ok(Some(aborted(&operators.abort(caller.person, Some(&session), None))));
    }
    let (person, language) = (caller.person, caller.connected.language);
    let said = answer_command(caller.app, person, Some(&session), &text, language).await;
    if let Some(said) = said {
        if said.is_ok() {
            run::changed(caller.app, person, &session, "command");
        }
        return answered(&events, place, said).map(Some);
    }
    let options = Options::default();
    let question = Question { session, text, model, options, language, surface: SURFACE };
    let reply = ChatReply::begin(caller.app, person, question).await?;
    let is_told = events.accept();
    events.start(reply, place);
    Ok((!is_told).then(|| json!({"runId": id, "status": "started"})))
}

/// Answers a command.
fn answered(
    events: &RunEvents,
    place: RunPermit,
    said: Result<String, Error>,
) -> Result<Value, Failure> {
    let said = said?;
    place.end();
    events.answer(&said);
    Ok(match events.response {
        Some(_) => events.completed([&*said]),
        None => json!({"runId": events.id, "status": "ok"}),
    })
}

fn abort(caller: &Caller<'_>, abort: &Abort) -> Result<Value, Failure> {
    let session = key::session(&abort.session_key)?;
    let run = abort.run_id.as_deref();
    Ok(aborted(&caller.app.operators.abort(caller.person, Some(&session), run)))
}

fn abort_session(caller: &Caller<'_>, abort: &AbortSession) -> Result<Value, Failure> {
    let session = abort.key.as_deref().map(key::session).transpose()?;
    if session.is_none() && abort.run_id.is_none() {
        return Err(Failure::Invalid("name a session or a run".into()));
    }
    let run = abort.run_id.as_deref();
    let runs = caller.app.operators.abort(caller.person, session.as_ref(), run);
    let status = if runs.is_empty() { "no-active-run" } else { "aborted" };
    Ok(json!({"ok": true, "abortedRunId": runs.first(), "status": status}))
}

fn aborted(runs: &[String]) -> Value {
    json!({"ok": true, "aborted": !runs.is_empty(), "runIds": runs})
}

/// The newest messages of a session, as many as the client asks for and a message may hold.
async fn history(caller: &Caller<'_>, history: &History) -> Result<Value, Failure> {
    if history.cursor.is_some() {
        return Ok(json!({"kind": "reset"}));
    }
    let session = key::session(&history.session_key)?;
    let stored = sessions::find(caller, &session).await?;
    let total = stored.as_ref().map_or(0, |it| u64::try_from(it.messages).unwrap_or_default());
    let end = total.saturating_sub(history.offset);
    let limit = history.limit.unwrap_or(HISTORY);
    let messages = newest(caller, &session, end, limit).await?;
    let start = end.saturating_sub(messages.len() as u64);
    let mut page = json!({
        "sessionKey": key::of(&session),
        "sessionId": session.as_str(),
        "messages": messages,
        "offset": history.offset,
        "hasMore": start > 0,
        "totalMessages": total,
        "sessionInfo": sessions::described(caller, &session, stored.as_ref()),
    });
    if let Some(runs) = &history.input_run_ids {
        page["inputReceipts"] = receipts(caller, runs);
    }
    Ok(page)
}

/// What became of runs. The Control UI keeps a message, and sends none after it, until its run is `consumed`.
fn receipts(caller: &Caller<'_>, runs: &[String]) -> Value {
    let receipt = |run: &String| {
        Some(match caller.app.operators.run_state(caller.person, run)? {
            RunState::Active => json!({"runId": run, "state": "pending"}),
            RunState::Ended => json!({"runId": run, "state": "consumed", "consumedByEventId": run}),
        })
    };
    runs.iter().take(RECEIPTS_MAX).filter_map(receipt).collect()
}

/// The messages below a number, at most `limit`.
async fn newest(
    caller: &Caller<'_>,
    session: &SessionName,
    end: u64,
    limit: u64,
) -> Result<VecDeque<Value>, Failure> {
    let (mut messages, mut bytes, mut before) = (VecDeque::new(), 0, end);
    while before > 0 && (messages.len() as u64) < limit {
        let page = PAGE.min(limit - messages.len() as u64);
        let asked =
            sealed::History { session: session.clone(), before: Some(before), limit: Some(page) };
        let read = caller.app.sessions.read(caller.person, &asked).await.map_err(Error::from)?;
        let Some(mut read) = read else { break };
        let mut found = Vec::new();
        while let Some(part) = read.next().await.map_err(Error::from)? {
            found.extend(part);
        }
        if found.is_empty() {
            break;
        }
        for it in found.iter().rev() {
            bytes += it.message.text.len();
            if bytes > HISTORY_BYTES && !messages.is_empty() {
                return Ok(messages);
            }
            messages.push_front(message(it));
        }
        before = before.saturating_sub(page);
    }
    Ok(messages)
}

/// The text of a message.
pub(super) async fn text(
    caller: &Caller<'_>,
    session: &SessionName,
    number: u64,
) -> Result<String, Failure> {
    let before = number.checked_add(1);
    let asked = sealed::History { session: session.clone(), before, limit: Some(1) };
    let read = caller.app.sessions.read(caller.person, &asked).await.map_err(Error::from)?;
    let mut read = read.ok_or(Error::from(OperationError::Missing))?;
    let part = read.next().await.map_err(Error::from)?.unwrap_or_default();
    let asked = part.into_iter().find(|it| u64::try_from(it.number) == Ok(number));
    Ok(asked.ok_or(Error::from(OperationError::Number))?.message.text)
}

/// A message, as OpenClaw's clients show it.
fn message(it: &NumberedMessage) -> Value {
    json!({
        "role": it.message.role,
        "content": [{"type": "text", "text": it.message.text}],
        "timestamp": it.created_at,
        "__openclaw": {"id": it.number.to_string(), "seq": it.number + 1},
    })
}
