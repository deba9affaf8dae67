//! Failed addresses.

use std::{net::SocketAddr, time::Instant};

use super::super::timing::{PENALTY_MAX, PENALTY_MIN};

/// Failed addresses remembered.
const MAX_PENALTIES: usize = 8;

/// The failed addresses of one peer, each with a pause.
#[derive(Clone, Debug, Default)]
pub(super) struct Penalties(Vec<Penalty>);

#[derive(Clone, Copy, Debug)]
struct Penalty {
    address: SocketAddr,
    failures: u32,
    /// Until when an empty packet from it is ignored.
    until: Instant,
    /// Until when data from it proves nothing: it may have been sent before the peer noticed the failure.
    proof_until: Instant,
}

impl Penalties {
    /// Records a failure of `address`, in use (`was_direct`) or on trial.
    pub(super) fn add(&mut self, address: SocketAddr, was_direct: bool, now: Instant) {
        let failures = self.of(address).map_or(0, |penalty| penalty.failures);
        self.clear(address);
        if self.0.len() >= MAX_PENALTIES {
            self.0.remove(0);
        }
        let pause = PENALTY_MIN.saturating_mul(2_u32.saturating_pow(failures)).min(PENALTY_MAX);
        let proof_until = if was_direct { now + PENALTY_MIN } else { now };
        let failures = failures.saturating_add(1);
        self.0.push(Penalty { address, failures, until: now + pause, proof_until });
    }

    /// Forgets the failures of `address`.
    pub(super) fn clear(&mut self, address: SocketAddr) {
        self.0.retain(|penalty| penalty.address != address);
    }

    /// Whether empty packets from `address` are ignored now.
    pub(super) fn is_ignored(&self, address: SocketAddr, now: Instant) -> bool {
        self.of(address).is_some_and(|penalty| penalty.until > now)
    }

    /// Whether data from `address` may be older than its failure.
    pub(super) fn is_doubtful(&self, address: SocketAddr, now: Instant) -> bool {
        self.of(address).is_some_and(|penalty| penalty.proof_until > now)
    }

    fn of(&self, address: SocketAddr) -> Option<&Penalty> {
        self.0.iter().find(|penalty| penalty.address == address)
    }
}
