//! Numbers of samples, and memory.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::Failure;

/// Times that were measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Median and 99th percentile, in milliseconds.
    pub(crate) fn figures(&mut self) -> Value {
        self.0.sort_unstable();
        json!({"count": self.0.len(), "p50_ms": self.at(50), "p99_ms": self.at(99)})
    }

    fn at(&self, percent: usize) -> Option<f64> {
        let index = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(index).map(|time| (time.as_secs_f64() * 1e5).round() / 100.0)
    }
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).ok_or("no resident memory")?;
    Ok((kib.trim().parse::<f64>()? / 102.4).round() / 10.0)
}

/// Microseconds since 1970: each message says when it was sent.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
