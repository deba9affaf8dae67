//! Token buckets: how often something may be done, so many times at once and then at a steady rate.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// A token bucket: each action takes a token, and tokens come back one by one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When all tokens are back; `None`: nobody took any.
    full_at: Option<Instant>,
}

/// How many tokens a bucket holds, and how fast they come back.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many there are.
    pub tokens: u32,
    /// The time in which one token comes back.
    pub period: Duration,
}

impl Bucket {
    /// Takes a token.
    ///
    /// # Errors
    ///
    /// The time until there is a token, if there is none now; the bucket is as it was then.
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

    /// Whether all tokens are there, as if nobody had taken any.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// A bucket for each of many. Whose bucket is full is forgotten.
#[derive(Debug)]
pub struct Buckets<K> {
    size: Size,
    buckets: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// All are full.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { size, buckets: HashMap::new() }
    }

    /// Takes a token of `of`.
    ///
    /// # Errors
    ///
    /// The time until there is one, if there is none now.
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
