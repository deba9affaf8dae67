//! `/log`: the audit log.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{LogPage, ReadLog, endpoints};
use coordinator_core::time::Millis;

use super::error::Error;
use crate::{app::App, clock, store::LogQuery};

/// Most entries of one answer.
const PAGE_MAX: u32 = 1000;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 1] {
    [serve(&endpoints::READ_LOG, read)]
}

async fn read(
    State(app): State<App>,
    wanted: Result<Query<ReadLog>, QueryRejection>,
) -> Result<Json<LogPage>, Error> {
    let Query(wanted) = wanted.map_err(|error| Error::Query(error.body_text()))?;
    let ago = |last_s: u64| Millis::try_from(last_s).unwrap_or(Millis::MAX).saturating_mul(1000);
    let limit = wanted.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let query = LogQuery {
        after: wanted.after.unwrap_or(0),
        since: wanted.last_s.map_or(0, |last_s| clock::now().saturating_sub(ago(last_s))),
        actor: wanted.actor,
        limit,
    };
    let entries = app.store.log(&query).await?;
    let is_full = entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = entries.last().map(|entry| entry.id).filter(|_| is_full);
    Ok(Json(LogPage { entries, next }))
}
