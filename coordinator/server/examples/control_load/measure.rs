//! The figures, one after the other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    Failure,
    coordinator::Target,
    crowd::Crowd,
    numbers::{Times, private_kib, processor_ms, rounded},
    policy,
};

/// Endpoint updates, each of another agent: a coordinator may delay those of one that tells many.
const UPDATES: usize = 100;
/// Policies that are set.
const POLICIES: u16 = 5;
/// The first port by which a change is known again.
const FIRST_PORT: u16 = 20_000;
/// What a change leaves to do settles in it: presence, caches, checkpoints.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures everything.
pub(crate) async fn all(
    target: &mut Target,
    crowd: &mut Crowd,
    rest_seconds: u64,
) -> Result<Value, Failure> {
    let agents = crowd.agents.len();
    sleep(SETTLE).await;
    let before = target.pid.map(private_kib).transpose()?;
    let begun = Instant::now();
    crowd.register(target).await?;
    let registered = begun.elapsed();
    crowd.watch(target).await?;
    let joined = begun.elapsed();
    sleep(SETTLE).await;
    let after = target.pid.map(private_kib).transpose()?;
    let memory = after.zip(before).map(|(after, before)| (after - before) / agents as f64);
    let rest = rest(target, Duration::from_secs(rest_seconds)).await?;
    let updates = updates(target, crowd).await?;
    let policies = policies(target, crowd).await?;
    let reconnected = reconnect(target, crowd).await?;
    Ok(json!({
        "agents": agents,
        "registered_per_s": rounded(agents as f64 / registered.as_secs_f64()),
        "joined_s": rounded(joined.as_secs_f64()),
        "private_kib_per_agent": memory.map(rounded),
        "rest_percent": rest.map(rounded),
        "update": updates,
        "policy": policies,
        "compile": target.has_admin().then(policy::compile).transpose()?,
        "reconnected_s": reconnected.map(|time| rounded(time.as_secs_f64())),
        "left_out": target.left_out(),
    }))
}

/// Processor time while nothing happens, in percent of one core.
async fn rest(target: &Target, time: Duration) -> Result<Option<f64>, Failure> {
    let before = target.pid.map(processor_ms).transpose()?;
    sleep(time).await;
    let after = target.pid.map(processor_ms).transpose()?;
    let used = after.zip(before).map(|(after, before)| after - before);
    Ok(used.map(|used| used / time.as_secs_f64() / 10.0))
}

/// Endpoint updates, one after the other: the time until the last watcher is told, and processor time.
async fn updates(target: &Target, crowd: &mut Crowd) -> Result<Value, Failure> {
    let before = target.pid.map(processor_ms).transpose()?;
    let mut times = Times::default();
    let count = UPDATES.min(crowd.agents.len());
    for (agent, port) in (0..count).zip(FIRST_PORT..) {
        // Those that come and go between are spread over all.
        let agent = crowd.agents[agent * crowd.agents.len() / count].clone();
        crowd.await_port(port);
        let begun = Instant::now();
        agent.moves(port).await?;
        let last = crowd.seen(port, crowd.watchers(&agent)).await?;
        times.add(last.saturating_duration_since(begun));
    }
    let after = target.pid.map(processor_ms).transpose()?;
    let mut figures = times.figures();
    let used = after.zip(before).map(|(after, before)| (after - before) / count as f64);
    figures["processor_ms"] = json!(used.map(rounded));
    Ok(figures)
}

/// Policies, one after the other: the time from the request until the last agent has its filter.
async fn policies(target: &Target, crowd: &mut Crowd) -> Result<Option<Value>, Failure> {
    let mut times = Times::default();
    for port in (1..=POLICIES).map(|number| FIRST_PORT - number) {
        crowd.await_port(port);
        let begun = Instant::now();
        if target.allow(port).await?.is_none() {
            return Ok(None);
        }
        let last = crowd.seen(port, crowd.agents.len()).await?;
        times.add(last.saturating_duration_since(begun));
    }
    Ok(Some(times.figures()))
}

/// The time from a kill and a start until every agent has a whole map again.
async fn reconnect(target: &mut Target, crowd: &Crowd) -> Result<Option<Duration>, Failure> {
    let (maps, begun) = (crowd.maps(), Instant::now());
    if !target.kill_and_start().await? {
        return Ok(None);
    }
    crowd.until_whole(&maps).await?;
    Ok(Some(begun.elapsed()))
}
