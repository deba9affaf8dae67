//! The long life of a network: nodes roam, join and leave, keys expire, the policy is replaced, in an order that a seed decides.
//!
//! Fails if anything that the coordinator acknowledged is missing: an endpoint in the map of a node that sees its owner, a
//! node, its name or its addresses, a policy. Maru's own coordinator is asked for its list, too, and again after a kill with
//! SIGKILL and a start. Memory and database are measured after the first tenth of the steps and after the last.

mod check;
mod database;
mod network;
mod script;

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant as TokioInstant, sleep, sleep_until};

use self::{database::DatabaseSize, network::Network};
use crate::{
    Failure,
    coordinator::Target,
    crowd::Crowd,
    numbers::{private_kib, rounded},
};

/// A node has a step in so many seconds, on average: ten in ten minutes, which stand for its day.
const SECONDS_A_STEP: u64 = 60;
/// Fewest steps, however few the nodes and short the time.
const STEPS_MIN: u32 = 20;
/// Until nothing of what was done is under way: who is offline is known after ten seconds.
const SETTLE: Duration = Duration::from_secs(15);

/// How long it lives, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
}

/// What the coordinator takes.
#[derive(Debug, Serialize)]
struct Footprint {
    /// Memory that its process shares with no other.
    private_kib: Option<f64>,
    database: Option<DatabaseSize>,
}

/// Lets the nodes join and live.
pub(crate) async fn run(target: &mut Target, crowd: Crowd, plan: Plan) -> Result<Value, Failure> {
    let nodes = crowd.agents.len();
    let steps = u32::try_from(nodes as u64 * plan.seconds / SECONDS_A_STEP)?.max(STEPS_MIN);
    let pause = Duration::from_secs(plan.seconds) / steps;
    let mut network = Network::start(target, crowd, plan.seed).await?;
    let begun = Instant::now();
    live(&mut network, target, steps / 10, pause).await?;
    let first = settled(&mut network, target).await?;
    live(&mut network, target, steps - steps / 10, pause).await?;
    let end = settled(&mut network, target).await?;
    let lived = begun.elapsed();
    if target.has_admin() {
        check::listed(&network, target).await?;
    }
    let is_restarted = restart(&network, target).await?;
    Ok(json!({
        "agents": nodes,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "steps": steps,
        "lived_s": rounded(lived.as_secs_f64()),
        "counts": network.counts,
        "first_tenth": first,
        "end": end,
        "ratio": ratios(&first, &end),
        "compared_after_restart": is_restarted,
        "left_out": left_out(target),
    }))
}

/// So many steps with a pause from the beginning of one to that of the next. Steps that take longer follow each other at once.
async fn live(
    network: &mut Network,
    target: &Target,
    steps: u32,
    pause: Duration,
) -> Result<(), Failure> {
    let begun = TokioInstant::now();
    for step in 0..steps {
        sleep_until(begun + pause * step).await;
        network.step(target).await?;
    }
    Ok(())
}

/// What the coordinator takes when as many nodes as at the beginning are there, and every map is right.
async fn settled(network: &mut Network, target: &Target) -> Result<Footprint, Failure> {
    network.fill().await?;
    check::until_right(network).await?;
    network.look()?;
    sleep(SETTLE).await;
    let database = match target.database() {
        Some(file) => Some(database::measure(&file).await?),
        None => None,
    };
    Ok(Footprint { private_kib: target.pid.map(private_kib).transpose()?, database })
}

/// Kills the coordinator, starts it again and compares once more; whether it could.
async fn restart(network: &Network, target: &mut Target) -> Result<bool, Failure> {
    let (before, maps) = (check::acknowledged(network)?, network.maps());
    if !target.kill_and_start().await? {
        return Ok(false);
    }
    network.until_newer(&maps).await?;
    check::until_right(network).await?;
    if check::acknowledged(network)? != before {
        return Err("a node has another number, name or address after the restart".into());
    }
    check::listed(network, target).await?;
    Ok(true)
}

/// The end to the first tenth.
fn ratios(first: &Footprint, end: &Footprint) -> Value {
    let memory = |it: &Footprint| it.private_kib;
    let network = |it: &Footprint| Some(it.database?.network_bytes as f64);
    let pages = |it: &Footprint| Some(it.database?.pages_bytes as f64);
    let file = |it: &Footprint| Some(it.database?.file_bytes as f64);
    json!({
        "private_kib": ratio(memory(first), memory(end)),
        "network_bytes": ratio(network(first), network(end)),
        "pages_bytes": ratio(pages(first), pages(end)),
        "file_bytes": ratio(file(first), file(end)),
    })
}

/// To three decimals.
fn ratio(first: Option<f64>, end: Option<f64>) -> Option<f64> {
    Some((end? / first? * 1000.0).round() / 1000.0)
}

/// What did not happen or was not measured.
fn left_out(target: &Target) -> Vec<&'static str> {
    let without_admin =
        ["expiry and removal by the admin", "joins and leaves", "policies", "database", "restart"];
    let admin = without_admin.into_iter().filter(|_| !target.has_admin());
    admin.chain(target.pid.is_none().then_some("memory")).collect()
}
