//! One-time passwords, which `maru rooms login` asks for and shows.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State, http::HeaderMap, http::Method};
use chassis::browser;
use telmeet_api::rooms::{self, OneTimePassword};
use telmeet_core::sign_in::password::PASSWORD_LIFETIME;

use super::people;
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Route, raw},
    random,
    session::Visitor,
};

pub(super) fn routes() -> Vec<Route> {
    raw(Method::POST, rooms::LOGIN.declaration.path, issue)
}

/// Makes a password for the person whose node asks. A website could have it made, but not read it; it is refused anyway.
async fn issue(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Json<OneTimePassword>, Error> {
    if browser::sent(&headers) {
        return Err(Error::forbidden("requests from websites are refused"));
    }
    let user = people::entered(&homeserver, visitor.person()?.clone()).await?;
    let random = random::bytes()?;
    let password = homeserver.sign_in.passwords().issue(user.clone(), random, Instant::now());
    Ok(Json(OneTimePassword {
        user_id: user.to_string(),
        password,
        expires_in: PASSWORD_LIFETIME.as_secs(),
    }))
}
