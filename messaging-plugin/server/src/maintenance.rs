//! Work without a request, once an hour: messages that their rooms keep no longer are deleted, and old transaction ids.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use chassis::steadiness::Steadiness;
use store::column;

use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    rooms,
};

/// Interval between two rounds.
const ROUND: Duration = Duration::from_secs(60 * 60);
/// How long a transaction id is remembered: far longer than an app without a network repeats a request.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Runs for ever.
pub(crate) async fn run(homeserver: &Homeserver) -> Infallible {
    let mut rounds = tokio::time::interval(ROUND);
    let mut clock = Steadiness::new(homeserver.now().get().into(), Instant::now());
    loop {
        rounds.tick().await;
        homeserver.rates.forget();
        if !clock.handle_round(homeserver.now().get().into(), Instant::now()) {
            continue;
        }
        if let Err(error) = round(homeserver).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "what is old is not deleted; retrying in an hour");
        }
    }
}

async fn round(homeserver: &Homeserver) -> Result<(), Error> {
    rooms::expire_all(homeserver).await?;
    homeserver.write(|tx| Box::pin(forget_transactions(tx))).await
}

async fn forget_transactions(tx: &mut Transaction) -> Result<(), Error> {
    let age = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
    let before = u64::from(tx.now().get()).saturating_sub(age);
    let query = "DELETE FROM transactions WHERE created_at < $1";
    sqlx::query(query).bind(column::sql(before)).execute(tx.connection()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use serde_json::json;

    use super::*;
    use crate::testing::{TestClient, TestServer};

    #[tokio::test]
    async fn a_transaction_id_is_remembered_for_a_week() {
        let server = TestServer::start().await;
        let kim = server.member("kim", "PHONE").await;
        let room = kim.post("/_matrix/client/v3/createRoom", json!({})).await;
        let room = ruma::RoomId::parse(room["room_id"].as_str().unwrap()).unwrap();
        let path =
            format!("/_matrix/client/v3/rooms/{}/send/m.room.message/1", TestClient::room(&room));
        let send = async || {
            let text = json!({"msgtype": "m.text", "body": "good morning"});
            kim.ok(Method::PUT, &path, text).await["event_id"].clone()
        };
        let first = send().await;
        round(&server.homeserver).await.unwrap();
        assert_eq!(send().await, first);
        let older = "UPDATE transactions SET created_at = created_at - 8 * 86400000";
        sqlx::query(older).execute(server.homeserver.pool()).await.unwrap();
        round(&server.homeserver).await.unwrap();
        assert_ne!(send().await, first);
    }
}
