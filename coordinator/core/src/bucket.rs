//! Token buckets: a burst at once, then a steady rate.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// A token bucket. Tokens return one by one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When it is full again; `None`: it is full.
    full_at: Option<Instant>,
}

/// The capacity and rate of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Capacity.
    pub tokens: u32,
    /// The time in which one token returns.
    pub period: Duration,
}

impl Bucket {
    /// Takes a token.
    ///
    /// # Errors
    ///
    /// The time until there is a token; the bucket is unchanged.
    pub fn take(&mut self, size: Size, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(size, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + size.period);
        Ok(())
    }

    /// The time until there is a token; zero if there is one.
    #[must_use]
    pub fn wait(&self, size: Size, now: Instant) -> Duration {
        let lacking = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        lacking.saturating_sub(size.period * size.tokens.saturating_sub(1))
    }

    /// Whether it is full.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// A bucket for each key. Full buckets are removed.
#[derive(Debug)]
pub struct Buckets<K> {
    size: Size,
    buckets: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Starts with full buckets.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { size, buckets: HashMap::new() }
    }

    /// Takes a token of `of`.
    ///
    /// # Errors
    ///
    /// The time until there is one.
    pub fn take(&mut self, of: K, now: Instant) -> Result<(), Duration> {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        self.buckets.entry(of).or_default().take(self.size, now)
    }

    /// The time until there is a token of `of`; zero if there is one.
    #[must_use]
    pub fn wait(&self, of: &K, now: Instant) -> Duration {
        self.buckets.get(of).map_or(Duration::ZERO, |bucket| bucket.wait(self.size, now))
    }
}

#[cfg(test)]
mod tests;
