//! Work without a request, once an hour: messages that their rooms keep no longer are deleted, and old transaction ids.
//!
//! By a clock that is years ahead all messages are old. So nothing is deleted until the clock has run for hours without being
//! set: a time server corrects one that was wrong at the start before.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use ruma::MilliSecondsSinceUnixEpoch;
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

/// How long the clock was not set when it is believed. A machine that was suspended counts as one whose clock was set.
const STEADY: Duration = Duration::from_secs(6 * 60 * 60);
/// How much the clock may gain or lose in a round: a time server slews it.
const DRIFT: Duration = Duration::from_secs(60);

/// Notices that the wall clock is set, by one that nobody can set.
#[derive(Debug)]
struct Steadiness {
    /// When it was set last, or telmeet started.
    since: Instant,
    /// When it was looked at last, in Unix milliseconds by the wall clock and by the other.
    last: (u64, Instant),
}

impl Steadiness {
    fn new(wall: MilliSecondsSinceUnixEpoch, now: Instant) -> Self {
        Self { since: now, last: (wall.get().into(), now) }
    }

    /// Looks at the wall clock. Returns whether it was not set for [`STEADY`].
    fn handle_round(&mut self, wall: MilliSecondsSinceUnixEpoch, now: Instant) -> bool {
        let wall = u64::from(wall.get());
        let (before, then) = std::mem::replace(&mut self.last, (wall, now));
        let elapsed = now.saturating_duration_since(then);
        let passed = Duration::from_millis(wall.saturating_sub(before));
        if wall < before || passed.abs_diff(elapsed) > DRIFT {
            tracing::warn!("the clock was set: nothing that is old is deleted for some hours");
            self.since = now;
        }
        now.saturating_duration_since(self.since) >= STEADY
    }
}

/// Runs for ever.
pub(crate) async fn run(homeserver: &Homeserver) -> Infallible {
    let mut rounds = tokio::time::interval(ROUND);
    let mut clock = Steadiness::new(homeserver.now(), Instant::now());
    loop {
        rounds.tick().await;
        homeserver.rates.forget();
        if !clock.handle_round(homeserver.now(), Instant::now()) {
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

    const YEAR: u64 = 365 * 24 * 3600;

    /// The hours after which something is deleted, if the clock is wrong by so many seconds in these hours.
    fn rounds(wrong: impl Fn(u64) -> u64) -> Vec<u64> {
        let (begin, correct) = (Instant::now(), 50 * YEAR);
        let wall = |hour: u64| {
            let seconds = correct + hour * 3600 + wrong(hour);
            MilliSecondsSinceUnixEpoch(ruma::UInt::new_saturating(seconds * 1000))
        };
        let mut clock = Steadiness::new(wall(0), begin);
        let later = |hour: u64| begin + Duration::from_secs(hour * 3600);
        (0..=24).filter(|hour| clock.handle_round(wall(*hour), later(*hour))).collect()
    }

    #[test]
    fn nothing_is_deleted_until_the_clock_was_not_set_for_hours() {
        assert_eq!(rounds(|_| 0), (6..=24).collect::<Vec<_>>());
        // A year ahead for three hours: until it was right for six hours again.
        let ahead = |hour| if (10..13).contains(&hour) { YEAR } else { 0 };
        assert_eq!(rounds(ahead), [6, 7, 8, 9, 19, 20, 21, 22, 23, 24]);
        // Wrong by an hour from the start on.
        let at_start = |hour| if hour < 4 { 3600 } else { 0 };
        assert_eq!(rounds(at_start), (10..=24).collect::<Vec<_>>());
        // Slewed by a time server.
        assert_eq!(rounds(|hour| hour * 59), (6..=24).collect::<Vec<_>>());
    }

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
