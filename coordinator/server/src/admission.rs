//! The list of nodes for the relay: a file of node keys that the coordinator writes and the relay watches, so that the relay
//! works while the coordinator is down. Beside it, the list of people and nodes for telmeet ([`mesh_identity::members`]).
//!
//! ```text
//! database ──▶ Hub ──▶ ListWriter::follow ─┬▶ nodes.json ──▶ Admission::keys ──▶ relay
//!                                          └▶ members.json ──▶ telmeet
//! ```
//!
//! The files are written before a registration is answered and before a removal is, and the relay checks its own whenever a
//! client presents a key, so a new node can use the relay at once. Their directories are readable for their readers only.

mod file;
mod list;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chassis::{state::StateError, watched::WatchedFiles};
use coordinator_core::admission::AdmittedKeys;

pub(crate) use self::list::ListWriter;
use crate::files::Paths;

/// How long after a failure the file is read again: removed nodes must be disconnected within seconds.
const AGAIN: Duration = Duration::from_secs(1);

/// The file as the relay reads it.
#[derive(Debug)]
pub(crate) struct Admission(WatchedFiles<AdmittedKeys, StateError>);

impl Admission {
    /// Watches the file. Nobody is admitted until it exists. If a later version cannot be read, the earlier one stays in
    /// effect.
    ///
    /// # Errors
    ///
    /// Fails if the file exists and is invalid.
    pub(crate) fn follow(paths: &Paths) -> Result<Self, StateError> {
        let path = file::path(paths);
        let (of, was_there) = (path.clone(), AtomicBool::new(false));
        let was_said = AtomicBool::new(false);
        let read = move || match file::read(&of)? {
            Some(content) => {
                was_there.store(true, Ordering::Relaxed);
                Ok(AdmittedKeys::from(content))
            }
            None if was_there.load(Ordering::Relaxed) => {
                let source = std::io::ErrorKind::NotFound.into();
                Err(StateError::Read { path: of.clone(), source })
            }
            None => {
                if !was_said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        path = %of.display(),
                        "there is no list of nodes yet: the relay admits nobody until the coordinator writes it"
                    );
                }
                Ok(AdmittedKeys::default())
            }
        };
        Ok(Self(WatchedFiles::load("the relay's list of nodes", vec![path], read)?.again(AGAIN)))
    }

    /// The current list.
    pub(crate) fn keys(&self) -> AdmittedKeys {
        self.0.current()
    }
}

#[cfg(test)]
mod tests;
