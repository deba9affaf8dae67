//! What was seen of a deployment: no older document is taken after a newer one, also over restarts.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// The newest documents that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// Configuration.
    pub config: Option<attestation::Seen>,
    /// The gateway's keys.
    pub bundle: Option<attestation::Seen>,
    /// Policy.
    pub policy: Option<attestation::Seen>,
}

/// Keeps what was seen.
pub trait Memory: fmt::Debug + Send + Sync {
    /// What was kept last.
    fn seen(&self) -> Seen;

    /// Keeps it, before anything that it names is used.
    ///
    /// # Errors
    ///
    /// It could not be kept; nothing that it names is used then.
    fn keep(&self, seen: Seen) -> io::Result<()>;
}

/// Keeps it until the process ends.
#[derive(Debug, Default)]
pub struct Volatile(Mutex<Seen>);

impl Memory for Volatile {
    fn seen(&self) -> Seen {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, seen: Seen) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}
