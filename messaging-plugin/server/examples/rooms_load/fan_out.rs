//! Streams that wait for one person's messages.

use std::time::Duration;

use futures_util::future;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::{
    Failure,
    client::{Client, FILTER, Target, next_batch},
    numbers::{self, Times},
};

/// Messages of a second.
const RATE: u64 = 20;
/// How long a stream waits for the last message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures how long each message takes to each stream.
pub(crate) async fn measure(
    target: &Target,
    people: &mut [Client],
    room: &str,
    streams: usize,
    seconds: Duration,
    pid: u32,
) -> Result<Value, Failure> {
    let messages = seconds.as_secs() * RATE;
    let mut waiting = Vec::new();
    for number in 0..streams {
        let mut client = people[number % people.len()].again(target).await?;
        let first = client.get(&format!("/_matrix/client/v3/sync?timeout=0&{FILTER}")).await?;
        waiting.push((client, next_batch(&first)?));
    }
    let listen = future::try_join_all(
        waiting.into_iter().map(|(client, since)| listen(client, since, messages)),
    );
    let write = async {
        let mut ticks = interval(Duration::from_millis(1_000 / RATE));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..messages {
            ticks.tick().await;
            people[0].say(room, &format!("at{}", numbers::now_us())).await?;
        }
        numbers::resident_mib(pid)
    };
    let begun = Instant::now();
    let (heard, memory) = future::try_join(listen, write).await?;
    let took = begun.elapsed().as_secs_f64();
    let mut times = Times::default();
    heard.into_iter().for_each(|heard| times.append(heard));
    let expected = streams as u64 * messages;
    let mut figures = times.figures();
    figures["sent"] = messages.into();
    figures["lost"] = (expected.saturating_sub(times.count() as u64)).into();
    figures["streams"] = streams.into();
    figures["streams_mib"] = json!(memory);
    figures["seconds"] = json!(took.round());
    Ok(figures)
}

/// Waits for messages until all came.
async fn listen(mut client: Client, mut since: String, messages: u64) -> Result<Times, Failure> {
    let mut times = Times::default();
    while (times.count() as u64) < messages {
        let path = format!("/_matrix/client/v3/sync?timeout=30000&since={since}&{FILTER}");
        let Ok(response) = timeout(PATIENCE, client.get(&path)).await else {
            break;
        };
        let (response, now) = (response?, numbers::now_us());
        since = next_batch(&response)?;
        let text = std::str::from_utf8(&response)?;
        for (at, _) in text.match_indices("\"at1") {
            let digits = text[at + 3..].split('"').next().unwrap_or_default();
            times.add(Duration::from_micros(now.saturating_sub(digits.parse()?)));
        }
    }
    Ok(times)
}
