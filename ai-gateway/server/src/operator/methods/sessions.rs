//! A person's sessions: list, describe, rename, delete.

use ai_gateway_api::sealed::{Rename, SessionName};
use conversations::Summary;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Error, arena, now_ms,
    operator::{
        caller::Caller,
        frame::{Failure, Request},
        key, run,
    },
    sessions::OperationError,
};

/// Sessions of a list, unless the client says how many (OpenClaw's default), and at most.
const LISTED: usize = 100;
const LISTED_MAX: usize = 1000;

/// A method of this file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    List,
    Describe,
    Subscribe,
    Messages,
    Resolve,
    Patch,
    Reset,
    Delete,
}

/// Of `sessions.list` and `sessions.subscribe`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct List {
    limit: Option<usize>,
    offset: usize,
    search: Option<String>,
    label: Option<String>,
    active_minutes: Option<u64>,
}

#[derive(Deserialize)]
struct Named {
    key: String,
}

/// Of `sessions.resolve`: the session by its key, or by its name, which is its id and label. It has no short id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resolve {
    key: Option<String>,
    session_id: Option<String>,
    label: Option<String>,
    short_id: Option<String>,
    #[serde(default)]
    allow_missing: bool,
}

#[derive(Deserialize)]
struct Patch {
    key: String,
    label: Option<String>,
}

impl Call {
    pub(super) async fn run(
        self,
        caller: &Caller<'_>,
        request: &Request<'_>,
    ) -> Result<Value, Failure> {
        match self {
            Self::List => list(caller, &request.params()?).await,
            Self::Describe => {
                let session = key::session(&request.params::<Named>()?.key)?;
                let stored = find(caller, &session).await?;
                Ok(json!({"session": described(caller, &session, stored.as_ref())}))
            }
            Self::Subscribe => {
                // Events come to each connection; the list comes for those who ask for it.
                let params: Option<serde_json::Map<String, Value>> = request.params()?;
                let mut subscribed = json!({"subscribed": true});
                if params.is_some_and(|params| !params.is_empty()) {
                    subscribed["list"] = list(caller, &request.params()?).await?;
                }
                Ok(subscribed)
            }
            Self::Messages => {
                let key = request.params::<Named>()?.key;
                Ok(json!({"subscribed": true, "key": key::of(&key::session(&key)?)}))
            }
            Self::Resolve => resolve(caller, &request.params()?).await,
            Self::Patch => patch(caller, request.params()?).await,
            Self::Reset => {
                let session = remove(caller, request, "reset").await?.0;
                let entry = json!({"sessionId": session.as_str(), "updatedAt": now_ms()});
                Ok(json!({"ok": true, "key": key::of(&session), "entry": entry}))
            }
            Self::Delete => {
                let (session, deleted) = remove(caller, request, "delete").await?;
                let key = key::of(&session);
                Ok(json!({"ok": true, "key": key, "deleted": deleted, "archived": []}))
            }
        }
    }
}

/// The caller's sessions, the last used first.
async fn list(caller: &Caller<'_>, list: &List) -> Result<Value, Failure> {
    let minutes = list.active_minutes.map(|minutes| minutes.saturating_mul(60_000));
    let since = minutes.map(|milliseconds| now_ms().saturating_sub(milliseconds));
    let search = list.search.as_ref().map(|text| text.to_lowercase());
    let is_wanted = |it: &Summary| {
        search.as_ref().is_none_or(|text| it.name.to_lowercase().contains(text.as_str()))
            && list.label.as_ref().is_none_or(|label| *label == it.name)
            && since.is_none_or(|since| u64::try_from(it.used_at).is_ok_and(|at| at >= since))
    };
    let limit = list.limit.unwrap_or(LISTED).min(LISTED_MAX);
    let runs = caller.app.operators.runs(caller.person);
    let (mut rows, mut total) = (Vec::new(), 0);
    for summary in stored(caller).await? {
        let summary = summary.map_err(Error::from)?;
        if is_wanted(&summary) {
            if total >= list.offset && rows.len() < limit {
                rows.push(row(&summary.name, Some(&summary), &runs));
            }
            total += 1;
        }
    }
    let next = list.offset.saturating_add(rows.len());
    Ok(json!({
        "ts": now_ms(),
        "path": "",
        "count": rows.len(),
        "totalCount": total,
        "limitApplied": limit,
        "offset": list.offset,
        "nextOffset": (next < total).then_some(next),
        "hasMore": next < total,
        "defaults": {"modelProvider": null, "model": null, "contextTokens": null},
        "sessions": rows,
    }))
}

/// The caller's sessions, whose names are opened one after another.
async fn stored(
    caller: &Caller<'_>,
) -> Result<impl Iterator<Item = Result<Summary, OperationError>>, Failure> {
    let entries = caller.app.sessions.entries(caller.person).await.map_err(Error::from)?;
    Ok(entries.map(|entry| arena::locked(|_| Ok(entry.summary()?))))
}

/// A session, if it has messages.
pub(super) async fn find(
    caller: &Caller<'_>,
    session: &SessionName,
) -> Result<Option<Summary>, Failure> {
    let found = stored(caller)
        .await?
        .find(|it| it.as_ref().map_or(true, |summary| summary.name == session.as_str()));
    Ok(found.transpose().map_err(Error::from)?)
}

/// One session's row; of a session that has no message yet, too: a client opens it and writes the first.
pub(super) fn described(
    caller: &Caller<'_>,
    session: &SessionName,
    stored: Option<&Summary>,
) -> Value {
    row(session.as_str(), stored, &caller.app.operators.runs(caller.person))
}

/// A session (`SessionRow`).
fn row(name: &str, stored: Option<&Summary>, runs: &[(String, SessionName)]) -> Value {
    let own = runs.iter().filter(|(_, session)| session.as_str() == name);
    let own: Vec<_> = own.map(|(id, _)| id.as_str()).collect();
    let mut row = json!({
        "key": format!("agent:{}:{name}", key::AGENT),
        "sessionId": name,
        "kind": "direct",
        "agentId": key::AGENT,
        "displayName": name,
        "isMain": name == key::MAIN,
        "updatedAt": stored.map(|it| it.used_at),
        "hasActiveRun": !own.is_empty(),
        "activeRunIds": own,
    });
    if let Some(stored) = stored {
        row["label"] = name.into();
        row["createdAt"] = stored.created_at.into();
        row["lastActivityAt"] = stored.used_at.into();
        row["messageCount"] = stored.messages.into();
    }
    row
}

/// The key of a session that has messages.
async fn resolve(caller: &Caller<'_>, resolve: &Resolve) -> Result<Value, Failure> {
    let name = resolve.session_id.as_deref().or(resolve.label.as_deref());
    let session = match (resolve.key.as_deref(), name.or(resolve.short_id.as_deref())) {
        (Some(key), _) => key::session(key)?,
        (None, Some(name)) => key::named(name)?,
        (None, None) => return Err(Failure::Invalid("name a session".into())),
    };
    match find(caller, &session).await? {
        Some(_) => Ok(json!({"ok": true, "key": key::of(&session), "agentId": key::AGENT})),
        None if resolve.allow_missing => Ok(json!({"ok": false})),
        None => Err(Error::from(OperationError::Missing).into()),
    }
}

/// Renames a session: its label is its name.
async fn patch(caller: &Caller<'_>, patch: Patch) -> Result<Value, Failure> {
    let session = key::session(&patch.key)?;
    let Some(label) = patch.label else {
        return Err(Failure::Invalid("this gateway changes the label of a session alone".into()));
    };
    let to = key::named(&label)?;
    if to != session {
        let rename = Rename { session: session.clone(), to: to.clone() };
        caller.app.sessions.rename(caller.person, &rename).await.map_err(Error::from)?;
        run::changed(caller.app, caller.person, &session, "delete");
        run::changed(caller.app, caller.person, &to, "patch");
    }
    let entry = json!({"sessionId": to.as_str(), "label": to.as_str(), "updatedAt": now_ms()});
    Ok(json!({"ok": true, "path": "", "key": key::of(&to), "entry": entry}))
}

/// Ends a session's replies and deletes it; whether it was there.
async fn remove(
    caller: &Caller<'_>,
    request: &Request<'_>,
    reason: &'static str,
) -> Result<(SessionName, bool), Failure> {
    let session = key::session(&request.params::<Named>()?.key)?;
    caller.app.operators.abort(caller.person, Some(&session), None);
    let removed = match caller.app.sessions.delete(caller.person, &session).await {
        Ok(()) => true,
        Err(OperationError::Missing) => false,
        Err(error) => return Err(Error::from(error).into()),
    };
    run::changed(caller.app, caller.person, &session, reason);
    Ok((session, removed))
}
