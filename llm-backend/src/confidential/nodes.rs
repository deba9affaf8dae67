//! Verified nodes: evidence is requested with our nonce, verified, and valid for a while.
//!
//! ```text
//! model ─▶ cached and valid? ── yes ─▶ sealed to; past half of its validity it is renewed in the background
//!              └── no ─▶ shortlist of the router ─▶ /attest, three at a time ─▶ verify ─▶ cached
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use attestation::VerifiedNode;
use confidential_api::NodeId;
use confidential_envelope::inner::Candidate as _;
use tokio::time::Instant;

use super::{clock::now_ms, once::SingleFlight};

/// Nodes that a request is sealed to.
pub(crate) const CANDIDATES: usize = 3;

/// Verified nodes by model.
pub(crate) struct Nodes {
    pub(super) name: String,
    pub(super) simulated: bool,
    /// How long a verification is valid.
    pub(super) life: Duration,
    /// By model; the settings bound their number.
    of: Mutex<BTreeMap<String, Arc<ModelNodes>>>,
}

/// The nodes of one model.
#[derive(Default)]
pub(super) struct ModelNodes {
    known: Mutex<VerifiedNodes>,
    pub(super) verifying: SingleFlight<()>,
}

#[derive(Default)]
pub(super) struct VerifiedNodes {
    pub(super) verified: Vec<Arc<VerifiedNode>>,
    /// No renewal is tried until then, after a failed one.
    pub(super) pause: Option<Instant>,
}

impl Nodes {
    pub(crate) fn new(name: String, simulated: bool, life: Duration) -> Self {
        Self { name, simulated, life, of: Mutex::default() }
    }

    pub(super) fn of(&self, model: &str) -> Arc<ModelNodes> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(of.entry(model.to_owned()).or_default())
    }
}

impl VerifiedNodes {
    /// Merges the result of a renewal. Other nodes keep their earlier verification while it is valid: they may have
    /// been busy, or not asked.
    pub(super) fn renew(
        &mut self,
        mut verified: Vec<Arc<VerifiedNode>>,
        refused: &[NodeId],
        life: Duration,
    ) {
        let now = now_ms();
        let anew: Vec<_> = verified.iter().map(|node| node.id()).collect();
        let counts = |node: &Arc<VerifiedNode>| {
            let id = node.id();
            node.holds(life, now) && !refused.contains(&id) && !anew.contains(&id)
        };
        verified.extend(self.verified.drain(..).filter(counts));
        *self = Self { verified, pause: None };
    }
}

impl ModelNodes {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut VerifiedNodes) -> T) -> T {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nodes that were verified under the policy of this epoch, within the last `life`.
    pub(super) fn holding(&self, life: Duration, epoch: u64) -> Vec<Arc<VerifiedNode>> {
        let now = now_ms();
        let holds = |node: &&Arc<VerifiedNode>| {
            node.holds(life, now) && node.summary().policy_epoch == epoch
        };
        self.change(|known| known.verified.iter().filter(holds).take(CANDIDATES).cloned().collect())
    }

    /// Whether a renewal may start now.
    pub(super) fn may_renew(&self) -> bool {
        self.change(|known| known.pause.is_none_or(|until| until <= Instant::now()))
    }
}
