//! Whom the relay lets in: a file of node keys that the coordinator writes and the relay follows, so that the relay knows
//! it also while the coordinator is down.
//!
//! ```text
//! database ──▶ Hub ──▶ List::follow ──▶ nodes.json ──▶ Admission::keys ──▶ relay
//! ```
//!
//! The file is written before a registration is answered, and looked at whenever a key is asked for: who was told that it
//! is a node finds the relay open. It lies in a directory of the coordinator's that nobody but the relay may look into.

mod file;
mod list;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chassis::{state::StateError, watched::Watched};
use coordinator_core::admitted::Keys;

pub(crate) use self::list::List;
use crate::files::Paths;

/// How long after a failure the file is read again: who is taken off it is to be cut within seconds.
const AGAIN: Duration = Duration::from_secs(1);
/// The file as the relay follows it.
#[derive(Debug)]
pub(crate) struct Admission(Watched<Keys, StateError>);

impl Admission {
    /// Begins to follow the file. While there is none yet, nobody is let in; one that cannot be read later counts for
    /// nothing, and what was read before stays.
    ///
    /// # Errors
    ///
    /// Fails if there is one that cannot be used.
    pub(crate) fn follow(paths: &Paths) -> Result<Self, StateError> {
        let path = file::path(paths);
        let (of, was_there) = (path.clone(), AtomicBool::new(false));
        let was_said = AtomicBool::new(false);
        let read = move || match file::read(&of)? {
            Some(content) => {
                was_there.store(true, Ordering::Relaxed);
                Ok(Keys::from(content))
            }
            None if was_there.load(Ordering::Relaxed) => {
                Err(file::unreadable(&of, std::io::ErrorKind::NotFound.into()))
            }
            None => {
                if !was_said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        path = %of.display(),
                        "there is no list of the network's nodes yet: nobody is let in until the coordinator has \
                         written it"
                    );
                }
                Ok(Keys::default())
            }
        };
        Ok(Self(Watched::load("the relay's list of nodes", vec![path], read)?.again(AGAIN)))
    }

    /// What the file says now.
    pub(crate) fn keys(&self) -> Keys {
        self.0.current()
    }
}

#[cfg(test)]
mod tests;
