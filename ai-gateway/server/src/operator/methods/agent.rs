//! `agent`: a question whose response has the reply, as `openclaw agent` asks it. A first response says that its run began.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    chat::{self, Beginning},
    new_session,
};
use crate::{
    Error, arena,
    operator::{
        caller::Caller,
        frame::{Failure, Request},
        key,
        run::LateResponse,
    },
};

/// Its parameters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    message: String,
    idempotency_key: String,
    agent_id: Option<String>,
    session_key: Option<String>,
    session_id: Option<String>,
    model: Option<String>,
    extra_system_prompt: Option<String>,
    #[serde(default)]
    deliver: bool,
    #[serde(default)]
    attachments: Vec<IgnoredAny>,
}

impl Agent {
    /// What this gateway has nothing for.
    fn lacking(&self) -> Option<&'static str> {
        [
            (self.agent_id.as_ref().is_some_and(|id| id != key::AGENT), "the only agent is main"),
            (self.deliver, "this gateway delivers replies to no channel"),
            (self.extra_system_prompt.is_some(), "this gateway takes no extraSystemPrompt"),
            (!self.attachments.is_empty(), "this gateway takes no attachments"),
        ]
        .into_iter()
        .find_map(|(is_asked, why)| is_asked.then_some(why))
    }
}

/// Begins the run, in the session `main` unless another is named.
pub(super) async fn run(
    caller: &Caller<'_>,
    request: &Request<'_>,
) -> Result<Option<Value>, Failure> {
    if !arena::has_room(chat::locked_bytes(request)) {
        return Err(Error::Busy.into());
    }
    let agent: Agent = arena::locked(|_| request.params())?;
    if let Some(why) = agent.lacking() {
        return Err(Failure::Invalid(why.into()));
    }
    let session = match (&agent.session_key, &agent.session_id) {
        (Some(key), _) => key::session(key)?,
        (None, Some(name)) => key::named(name)?,
        (None, None) => key::named(key::MAIN)?,
    };
    let model = match &agent.model {
        Some(model) => new_session::chosen(caller, model)?,
        None => caller.app.sessions.model(caller.person, &session).await.map_err(Error::from)?,
    };
    let response = LateResponse::new(caller.outbox, &request.id);
    let (text, id) = (agent.message, agent.idempotency_key);
    chat::begin(caller, Beginning { session, text, id, model, response: Some(response) }).await
}
