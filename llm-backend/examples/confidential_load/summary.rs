//! Many samples in few numbers.

use std::time::Instant;

use serde_json::{Value, json};

pub(crate) fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

pub(crate) fn median(samples: Vec<f64>) -> f64 {
    quantile(&sorted(samples), 50)
}

pub(crate) fn percentiles(samples: Vec<f64>) -> Value {
    let samples = sorted(samples);
    json!({ "p50": quantile(&samples, 50), "p99": quantile(&samples, 99) })
}

fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// To a tenth; JSON's null if there are no samples.
fn quantile(samples: &[f64], percent: usize) -> f64 {
    let at = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
    samples.get(at).map_or(f64::NAN, |value| (value * 10.0).round() / 10.0)
}
