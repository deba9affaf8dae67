//! People who write at once.

use std::time::{Duration, Instant};

use futures_util::future;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    Failure,
    client::{Client, text},
    numbers::Times,
};

/// What was sent, and how long each message took.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    times: Times,
    took: Duration,
}

impl Sent {
    pub(crate) fn count(&self) -> usize {
        self.times.count()
    }

    pub(crate) fn figures(&self) -> Value {
        let mut figures = self.times.clone().figures();
        figures["per_s"] = (self.count() as f64 / self.took.as_secs_f64()).round().into();
        figures
    }
}

/// A room of everybody. Returns its id, as paths have it.
pub(crate) async fn room(people: &mut [Client]) -> Result<String, Failure> {
    let create = json!({"preset": "public_chat", "name": "Everybody"});
    let room = people[0].call(Method::POST, "/_matrix/client/v3/createRoom", create).await?;
    let room = text(&room, "room_id")?.replace('!', "%21").replace(':', "%3A");
    for person in &mut people[1..] {
        person.call(Method::POST, &format!("/_matrix/client/v3/join/{room}"), json!({})).await?;
    }
    Ok(room)
}

/// All write, each its next message after the last was acknowledged, for a time or so many messages.
pub(crate) async fn at_once(
    people: &mut [Client],
    room: &str,
    longest: Duration,
    messages: usize,
) -> Result<Sent, Failure> {
    let begun = Instant::now();
    let each = messages.div_ceil(people.len());
    let write = async |person: &mut Client| -> Result<Times, Failure> {
        let mut times = Times::default();
        while begun.elapsed() < longest && times.count() < each {
            let sent = Instant::now();
            person.say(room, "a text of the length that people write").await?;
            times.add(sent.elapsed());
        }
        Ok(times)
    };
    let all = future::try_join_all(people.iter_mut().map(write)).await?;
    let mut sent = Sent { took: begun.elapsed(), ..Sent::default() };
    all.into_iter().for_each(|times| sent.times.append(times));
    Ok(sent)
}
