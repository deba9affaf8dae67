//! The account page, on which a person sees and removes apps (MSC4191).

use std::{fmt::Write as _, sync::Arc, time::Instant};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use chassis::page::{Page, escaped};
use messages::message;
use sqlx::Row as _;
use telmeet_core::sign_in::{form::Form, metadata};

use super::{
    devices,
    page::{confirmed, expired, plain, see, shown},
    people,
    state::Confirmation,
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Bytes, Route, raw},
    random,
    session::Visitor,
};

pub(super) fn routes() -> Vec<Route> {
    let path = metadata::ACCOUNT_PATH;
    [raw(Method::GET, path, show), raw(Method::POST, path, remove)].into_iter().flatten().collect()
}

/// Shows the apps. An app that sends the person here to confirm that encryption is reset needs no confirmation.
async fn show(
    State(homeserver): State<Arc<Homeserver>>,
    Visitor(header): Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let form = Form::parse(query.unwrap_or_default().as_bytes())?;
    if form.get("action").is_some_and(|action| action.ends_with(".cross_signing_reset")) {
        return Ok(plain(message!("page-reset"), &headers));
    }
    let caller = people::caller(&homeserver, &header).await?;
    let mut connection = homeserver.pool().acquire().await?;
    let mut rows = String::new();
    for row in devices::rows(&mut connection, &caller.person).await? {
        let id: String = row.try_get("device_id")?;
        let name: Option<String> = row.try_get("display_name")?;
        let checked = if form.get("device_id") == Some(&*id) { " checked" } else { "" };
        let (id, name) = (escaped(&id), escaped(&name.unwrap_or_default()));
        let _ = write!(
            rows,
            "<p><label><input type=\"radio\" name=\"device_id\" value=\"{id}\" required{checked}> \
             {name} <code>{id}</code></label></p>"
        );
    }
    let person = escaped(caller.person.as_str());
    let random = random::bytes()?;
    let mut forms = homeserver.sign_in.forms();
    let token = forms.issue(caller, Confirmation::Removal, random, Instant::now());
    let text = message!("page-account", person, token, rows);
    let forms = vec!["'self'".to_owned()];
    Ok(shown(Page { forms, ..Page::new(StatusCode::OK, text) }, &headers))
}

async fn remove(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    headers: HeaderMap,
    Bytes(body): Bytes,
) -> Result<Response, Error> {
    let confirmed = confirmed(&homeserver, &visitor, body.bytes()).await?;
    let Some((caller, Confirmation::Removal, form)) = confirmed else {
        return Ok(shown(expired(), &headers));
    };
    let device = form.need("device_id")?.into();
    devices::remove_all(&homeserver, caller.person, vec![device]).await?;
    Ok(see(metadata::ACCOUNT_PATH))
}
