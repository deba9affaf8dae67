//! Nodes that proved themselves: evidence is asked for with a nonce of our own, verified, and holds for a while.
//!
//! ```text
//! model ─▶ cached and holds? ── yes ─▶ sealed to; past half of its time it is renewed in the background
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

/// Nodes that one request is sealed to.
pub(crate) const CANDIDATES: usize = 3;

/// Those that are known.
pub(crate) struct Nodes {
    pub(super) name: String,
    pub(super) simulated: bool,
    /// How long a verification holds.
    pub(super) life: Duration,
    /// By the model, of which there are as many as the settings name.
    of: Mutex<BTreeMap<String, Arc<ModelNodes>>>,
}

/// Those that have one model.
#[derive(Default)]
pub(super) struct ModelNodes {
    known: Mutex<VerifiedNodes>,
    pub(super) verifying: SingleFlight<()>,
}

#[derive(Default)]
pub(super) struct VerifiedNodes {
    pub(super) verified: Vec<Arc<VerifiedNode>>,
    /// Until when a renewal that failed is not tried again.
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
    /// Takes in what came of a renewal. What others proved before still counts, as long as it holds: they may have been
    /// busy, or not asked.
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

    /// Those that proved themselves under the policy of this epoch, and hold for `life` from then on.
    pub(super) fn holding(&self, life: Duration, epoch: u64) -> Vec<Arc<VerifiedNode>> {
        let now = now_ms();
        let holds = |node: &&Arc<VerifiedNode>| {
            node.holds(life, now) && node.summary().policy_epoch == epoch
        };
        self.change(|known| known.verified.iter().filter(holds).take(CANDIDATES).cloned().collect())
    }

    /// Whether they may be renewed now.
    pub(super) fn may_renew(&self) -> bool {
        self.change(|known| known.pause.is_none_or(|until| until <= Instant::now()))
    }
}
