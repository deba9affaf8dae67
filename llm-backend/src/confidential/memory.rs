//! What was seen of a deployment: no older document is taken after a newer one, also over restarts.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// The newest documents that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenDocuments {
    /// Configuration.
    pub config: Option<attestation::DocumentVersion>,
    /// The gateway's keys.
    pub bundle: Option<attestation::DocumentVersion>,
    /// Policy.
    pub policy: Option<attestation::DocumentVersion>,
}

impl SeenDocuments {
    /// The newer of what both name, document by document: where both are of one epoch, that of `self`.
    #[must_use]
    pub fn or_newer(self, other: Self) -> Self {
        let newer = |one: Option<attestation::DocumentVersion>,
                     other: Option<attestation::DocumentVersion>| {
            let epoch = |mark: &attestation::DocumentVersion| mark.epoch;
            if other.as_ref().map(epoch) > one.as_ref().map(epoch) { other } else { one }
        };
        Self {
            config: newer(self.config, other.config),
            bundle: newer(self.bundle, other.bundle),
            policy: newer(self.policy, other.policy),
        }
    }
}

/// Keeps what was seen.
pub trait SeenStore: fmt::Debug + Send + Sync {
    /// What was kept last.
    fn seen(&self) -> SeenDocuments;

    /// Keeps it, before anything that it names is used; where something newer was kept meanwhile, that stays.
    ///
    /// # Errors
    ///
    /// It could not be kept; nothing that it names is used then.
    fn keep(&self, seen: SeenDocuments) -> io::Result<()>;
}

/// Keeps it until the process ends.
#[derive(Debug, Default)]
pub struct InMemoryStore(Mutex<SeenDocuments>);

impl SeenStore for InMemoryStore {
    fn seen(&self) -> SeenDocuments {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, seen: SeenDocuments) -> io::Result<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.or_newer(seen);
        Ok(())
    }
}
