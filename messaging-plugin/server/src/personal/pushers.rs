//! Pushers: where an app wants to be told of new messages (specification, client-server API, "Push Notifications").
//!
//! Only this server's own push gateway and topics are taken. Another gateway would learn who gets messages when, and telmeet's
//! container has no way out anyway; so there is no setting that lists others.

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    UserId,
    api::client::push::{
        Pusher, PusherIds, PusherKind, get_pushers,
        set_pusher::{self, v3::PusherAction},
    },
};
use sqlx::AnyConnection;
use store::column;

use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    push::{address, topics::NotYours},
    session::{Session, Visitor},
};

/// Most pushers of a person.
const PUSHERS_MAX: i64 = 50;
/// Longest push key, in bytes (specification, client-server API, "Push Notifications").
const KEY_MAX: usize = 512;
/// Longest id of an app, in bytes.
const APP_MAX: usize = 64;
/// Largest pusher, in bytes. A message, which repeats its data, has 4 KiB.
const PUSHER_MAX: usize = 3 << 10;

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    [route::<get_pushers::v3::Request, _, _>(list), route::<set_pusher::v3::Request, _, _>(set)]
        .into_iter()
        .flatten()
        .collect()
}

async fn list(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Reply<get_pushers::v3::Response>, Error> {
    let query = "SELECT data FROM pushers WHERE user_id = $1 ORDER BY app_id, pushkey";
    let query = sqlx::query_scalar::<_, String>(query).bind(session.user.as_str());
    let mut pushers: Vec<Pusher> = Vec::new();
    for data in query.fetch_all(homeserver.pool()).await? {
        pushers.push(column::from_json(&data, "data")?);
    }
    Ok(Reply(get_pushers::v3::Response::new(pushers)))
}

async fn set(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    visitor: Visitor,
    Ruma(request): Ruma<set_pusher::v3::Request>,
) -> Result<Reply<set_pusher::v3::Response>, Error> {
    match request.action {
        PusherAction::Post(post) => {
            let (data, topic) = check(&post.pusher, &homeserver.network)?;
            let bound = homeserver.push.topics.bind(visitor.person()?.id, &topic);
            bound.map_err(|NotYours| elsewhere(&homeserver.network))?;
            let user = session.user.clone();
            let PusherIds { pushkey, app_id, .. } = post.pusher.ids;
            homeserver
                .write(move |transaction| {
                    async move {
                        let connection = transaction.connection();
                        if !post.append {
                            delete(connection, None, &app_id, &pushkey).await?;
                        }
                        insert(connection, &session, &app_id, &pushkey, &data).await
                    }
                    .boxed()
                })
                .await?;
            homeserver.push.pending.has_pusher(user);
        }
        PusherAction::Delete(ids) => {
            homeserver
                .write(move |transaction| {
                    async move {
                        delete(
                            transaction.connection(),
                            Some(&session.user),
                            &ids.app_id,
                            &ids.pushkey,
                        )
                        .await
                    }
                    .boxed()
                })
                .await?;
        }
        _ => return Err(Error::invalid("this action is not known")),
    }
    Ok(Reply(set_pusher::v3::Response::new()))
}

/// Checks a pusher. Returns it as JSON, and its topic.
fn check(pusher: &Pusher, network: &str) -> Result<(String, String), Error> {
    let PusherIds { pushkey, app_id, .. } = &pusher.ids;
    if pushkey.is_empty() || pushkey.len() > KEY_MAX || app_id.is_empty() || app_id.len() > APP_MAX
    {
        return Err(Error::invalid("a push key has 1 to 512 bytes, and the id of an app 1 to 64"));
    }
    let PusherKind::Http(data) = &pusher.kind else {
        return Err(Error::invalid("only pushers of the kind `http` are supported"));
    };
    let topic = address::topic(pushkey, network);
    let topic = topic.filter(|_| address::is_gateway(&data.url, network));
    let topic = topic.ok_or_else(|| elsewhere(network))?;
    let data = column::to_json(pusher, "data")?;
    if data.len() > PUSHER_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "the pusher", max: "3 KiB" }.into());
    }
    Ok((data, topic))
}

/// A pusher that does not lead to a topic of the person's.
fn elsewhere(network: &str) -> Error {
    let host = format!("{}.{network}", services::ROOMS);
    Error::invalid(format!(
        "a pusher of this network uses the push gateway at {host}: another one would learn who gets messages when. \
         In the app, choose ntfy with the server {host} for notifications."
    ))
}

async fn insert(
    connection: &mut AnyConnection,
    session: &Session,
    app: &str,
    key: &str,
    data: &str,
) -> Result<(), Error> {
    let query = "SELECT COUNT(*) FROM pushers WHERE user_id = $1";
    let query = sqlx::query_scalar::<_, i64>(query).bind(session.user.as_str());
    if query.fetch_one(&mut *connection).await? >= PUSHERS_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "the pushers", max: "50" }.into());
    }
    let query = "INSERT INTO pushers (user_id, app_id, pushkey, device_id, data) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_id, app_id, pushkey) DO UPDATE SET device_id = excluded.device_id, data = excluded.data";
    sqlx::query(query)
        .bind(session.user.as_str())
        .bind(app)
        .bind(key)
        .bind(session.device.as_str())
        .bind(data)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a pusher of one person, or of all: a push key belongs to one app on one device, whoever is signed in there.
async fn delete(
    connection: &mut AnyConnection,
    user: Option<&UserId>,
    app: &str,
    key: &str,
) -> Result<(), Error> {
    let query =
        "DELETE FROM pushers WHERE app_id = $1 AND pushkey = $2 AND ($3 = '' OR user_id = $3)";
    let user = user.map_or("", UserId::as_str);
    sqlx::query(query).bind(app).bind(key).bind(user).execute(connection).await?;
    Ok(())
}
