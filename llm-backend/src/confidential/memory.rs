//! A record of the newest documents of a deployment, so that older ones are rejected, also after a restart.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// The newest documents seen.
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
    /// The newer of both, document by document; if both have the same epoch, that of `self`.
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

/// Stores the newest documents seen.
pub trait SeenStore: fmt::Debug + Send + Sync {
    /// The stored record.
    fn seen(&self) -> SeenDocuments;

    /// Stores the record before its documents are used. Newer entries that were stored meanwhile stay.
    ///
    /// # Errors
    ///
    /// It could not be stored; the documents must not be used.
    fn keep(&self, seen: SeenDocuments) -> io::Result<()>;
}

/// Stores it until the process ends.
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
