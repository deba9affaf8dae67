//! Sessions that begin: a new one, a copy of another, a copy of the beginning of another.

use ai_gateway_api::sealed::{self, SessionName};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    chat::{self, Beginning},
    sessions,
};
use crate::{
    Error, arena, commands,
    models::HOUSEHOLD,
    now_ms,
    operator::{
        caller::Caller,
        frame::{Failure, Request},
        key, run,
    },
    sessions::{OperationError, dated_names},
};

/// What a new session is called whose client names it in no way, before the time.
const UNNAMED: &str = "chat";

/// A method of this file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Create,
    Fork,
}

/// Of `sessions.create`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    key: Option<String>,
    label: Option<String>,
    display_name: Option<String>,
    model: Option<String>,
    parent_session_key: Option<String>,
    #[serde(default)]
    fork: bool,
    #[serde(default)]
    incognito: bool,
    message: Option<String>,
    task: Option<String>,
    idempotency_key: Option<String>,
    #[serde(default)]
    attachments: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fork {
    session_key: String,
    /// The number of a message, as the history has it.
    entry_id: String,
}

impl Call {
    pub(super) async fn run(
        self,
        caller: &Caller<'_>,
        request: &Request<'_>,
    ) -> Result<Value, Failure> {
        match self {
            Self::Create => {
                if !arena::has_room(chat::locked_bytes(request)) {
                    return Err(Error::Busy.into());
                }
                create(caller, arena::locked(|_| request.params())?).await
            }
            Self::Fork => fork(caller, &request.params()?).await,
        }
    }
}

/// Names a session, which the first message begins. With `fork` it has the messages of its parent; with a message, a run
/// begins.
async fn create(caller: &Caller<'_>, mut create: Create) -> Result<Value, Failure> {
    if create.incognito {
        return Err(Failure::Invalid("this gateway has no incognito sessions".into()));
    }
    if !create.attachments.is_empty() {
        return Err(Failure::Invalid("this gateway takes no attachments".into()));
    }
    let parent = create.parent_session_key.as_deref().map(key::session).transpose()?;
    let model = create.model.take().map(|model| chosen(caller, &model)).transpose()?;
    let session = match parent.filter(|_| create.fork) {
        Some(parent) => copy(caller, &parent, named(&create)?).await?,
        None => match named(&create)? {
            Some(session) => session,
            None => unnamed(caller).await?,
        },
    };
    if let Some(model) = model {
        let choice = caller.app.sessions.choose_model(caller.person, &session, model.as_deref());
        choice.await.map_err(Error::from)?;
    }
    run::changed(caller.app, caller.person, &session, "create");
    let mut created = json!({
        "ok": true,
        "key": key::of(&session),
        "sessionId": session.as_str(),
        "entry": {"sessionId": session.as_str(), "updatedAt": now_ms()},
    });
    if let Some(text) = create.message.or(create.task).filter(|text| !text.trim().is_empty()) {
        let id = create.idempotency_key.map_or_else(run::random_id, Ok)?;
        let begun = match Beginning::new(caller, session, text, id.clone()).await {
            Ok(beginning) => chat::begin(caller, beginning).await,
            Err(error) => Err(error.into()),
        };
        match begun {
            Ok(_) => {
                created["runStarted"] = true.into();
                created["runId"] = id.into();
            }
            Err(failure) => {
                created["runStarted"] = false.into();
                created["runError"] = failure.shape();
            }
        }
    }
    Ok(created)
}

/// The session that the client names.
fn named(create: &Create) -> Result<Option<SessionName>, Failure> {
    let name = create.label.as_ref().or(create.display_name.as_ref());
    match (&create.key, name) {
        (Some(key), _) => key::session(key).map(Some),
        (None, Some(name)) => key::named(name).map(Some),
        (None, None) => Ok(None),
    }
}

/// A name that no session has.
async fn unnamed(caller: &Caller<'_>) -> Result<SessionName, Failure> {
    for name in dated_names(&key::named(UNNAMED)?) {
        if sessions::find(caller, &name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::from(OperationError::Taken).into())
}

/// Copies a whole session.
async fn copy(
    caller: &Caller<'_>,
    parent: &SessionName,
    to: Option<SessionName>,
) -> Result<SessionName, Failure> {
    let stored = sessions::find(caller, parent).await?;
    let stored = stored.ok_or(Error::from(OperationError::Missing))?;
    let before = u64::try_from(stored.messages).unwrap_or_default();
    branch(caller, parent, before, to).await
}

/// Copies the messages of a session below a number.
async fn branch(
    caller: &Caller<'_>,
    session: &SessionName,
    before: u64,
    to: Option<SessionName>,
) -> Result<SessionName, Failure> {
    let sessions = &caller.app.sessions;
    let Some(to) = to else {
        let branched = sessions.branch_dated(caller.person, session, before).await;
        return Ok(branched.map_err(Error::from)?);
    };
    let branch = sealed::Branch { session: session.clone(), before, to };
    sessions.branch(caller.person, &branch).await.map_err(Error::from)?;
    Ok(branch.to)
}

/// The model that is asked for; `None` is the household's AI.
pub(super) fn chosen(caller: &Caller<'_>, model: &str) -> Result<Option<String>, Failure> {
    let household = model.split_once('/') == Some((HOUSEHOLD, HOUSEHOLD));
    let name = if household { HOUSEHOLD } else { model };
    let chosen = commands::choose(&caller.app.models, name).map(|(_, chosen)| chosen);
    let language = caller.connected.language;
    chosen.map_err(|unknown| Failure::Invalid(unknown.text(language).into_owned().into()))
}

/// Copies what a session has before a question, whose text the client edits.
async fn fork(caller: &Caller<'_>, fork: &Fork) -> Result<Value, Failure> {
    let session = key::session(&fork.session_key)?;
    let number: u64 = fork.entry_id.parse().map_err(|_| Error::from(OperationError::Number))?;
    let text = chat::text(caller, &session, number).await?;
    let to = branch(caller, &session, number, None).await?;
    run::changed(caller.app, caller.person, &to, "fork");
    Ok(json!({"sessionKey": key::of(&to), "editorText": text}))
}
