//! Many outcomes in a few figures.

use serde_json::{Value, json};

use crate::{ask::Seconds, caller::Outcome};

/// One JSON object: counts, and microseconds at the median and the 99th percentile.
pub(crate) fn summary(outcomes: &[Outcome], failed: usize, seconds: Seconds) -> Value {
    let whole = outcomes.iter().filter(|outcome| outcome.is_whole).count();
    let delays: Vec<u64> = outcomes.iter().flat_map(|outcome| outcome.delays_us.clone()).collect();
    let samples = |of: fn(&Outcome) -> u64| -> Vec<u64> { outcomes.iter().map(of).collect() };
    json!({
        "requests": outcomes.len(),
        "failed": failed + outcomes.len() - whole,
        "seconds": seconds.0,
        "tokens": delays.len(),
        "total_us": quantiles(samples(|outcome| outcome.total_us)),
        "first_us": quantiles(samples(|outcome| outcome.first_us)),
        "way_us": quantiles(delays),
    })
}

fn quantiles(mut samples: Vec<u64>) -> Value {
    samples.sort_unstable();
    let at = |part: usize| samples.get(samples.len() * part / 100).copied();
    json!({ "p50": at(50), "p99": at(99) })
}
