//! Numbers of samples, processor time and memory, and numbers that look random.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::Failure;

/// Milliseconds of a unit of processor time in `/proc` (`USER_HZ`).
const TICK_MS: f64 = 10.0;

/// Numbers that are the same in every run (Marsaglia, "Xorshift RNGs").
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Zero, of which nothing follows, stands for one.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }
}

/// Times that were measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Median and 99th percentile, in milliseconds.
    pub(crate) fn figures(&mut self) -> Value {
        self.0.sort_unstable();
        json!({"count": self.0.len(), "p50_ms": self.at(50), "p99_ms": self.at(99)})
    }

    fn at(&self, percent: usize) -> Option<f64> {
        let index = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(index).map(|time| rounded(time.as_secs_f64() * 1e3))
    }
}

/// To two decimals.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Processor time of a process, in milliseconds (proc_pid_stat(5)).
pub(crate) fn processor_ms(pid: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = text.rsplit_once(')').ok_or("no processor time")?.1.split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? * TICK_MS)
}

/// Memory that a process shares with no other, in KiB.
pub(crate) fn private_kib(pid: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let private = text.lines().filter_map(|line| line.strip_prefix("Private_"));
    let private = private.filter_map(|line| line.split_whitespace().nth(1));
    Ok(private.map(str::parse::<f64>).sum::<Result<f64, _>>()?)
}
