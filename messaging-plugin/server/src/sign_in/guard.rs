//! What every request passes: it is of a person's node, within the person's limits, and ends with the app that sent it.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use mesh_identity::User;
use store::column;
use tokio::time::timeout;

use super::{people, tokens::SignedIn};
use crate::{
    error::Error,
    homeserver::Homeserver,
    participant,
    session::{self, Visitor},
};

/// How long a request may still take once its app is signed out: it may be the one that signs out.
const SIGNING_OUT: Duration = Duration::from_secs(1);

/// Refuses nodes without a person and floods of one person, and ends a request, such as a waiting sync, when its app is signed out.
pub(crate) async fn guard(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    request: Request,
    next: Next,
) -> Response {
    let person = match visitor.person() {
        Ok(person) => person,
        Err(error) => return error.into_response(),
    };
    if participant::is(person) && !participant::came_by_its_link(&request) {
        return Error::forbidden("this is the AI's number").into_response();
    }
    let within = homeserver.rates.count(person.id, &request);
    let place = match within.and_then(|()| homeserver.answers.start(person.id)) {
        Ok(place) => place,
        Err(error) => return error.into_response(),
    };
    let response = answer(&homeserver, &visitor, person, request, next).await;
    drop(place);
    homeserver.answers.send(person.id, response).await.unwrap_or_else(Error::into_response)
}

/// Answers a request of a person.
async fn answer(
    homeserver: &Arc<Homeserver>,
    visitor: &Visitor,
    person: &User,
    request: Request,
    next: Next,
) -> Response {
    let Ok(app) = session::find(homeserver, request.headers(), &visitor.0) else {
        return next.run(request).await;
    };
    if app.note(homeserver.now().get().into()) {
        store_seen(homeserver, &app);
    }
    if app.is_renamed(&person.login) {
        rename(homeserver, person.clone());
    }
    let mut response = pin!(next.run(request));
    tokio::select! {
        response = &mut response => response,
        () = app.ended() => {
            // Signing out itself is answered.
            let answered = timeout(SIGNING_OUT, response).await;
            answered.unwrap_or_else(|_| Error::UnknownToken.into_response())
        }
    }
}

/// Stores that an app asks now. Only which app of the person is the least recently used depends on it.
fn store_seen(homeserver: &Arc<Homeserver>, app: &SignedIn) {
    let (user, device) = (app.user.to_string(), app.device.to_string());
    let homeserver = Arc::clone(homeserver);
    tokio::spawn(async move {
        let write = homeserver.write(move |tx| {
            Box::pin(async move {
                let now = column::sql(tx.now().get().into());
                let query = "UPDATE devices SET seen_at = $1 WHERE user_id = $2 AND device_id = $3";
                let query = sqlx::query(query).bind(now).bind(user).bind(device);
                query.execute(tx.connection()).await?;
                Ok(())
            })
        });
        drop(write.await);
    });
}

/// Shows a person by the new login. If that fails, the next sign-in does it.
fn rename(homeserver: &Arc<Homeserver>, person: User) {
    let homeserver = Arc::clone(homeserver);
    tokio::spawn(async move { drop(people::entered(&homeserver, person).await) });
}
