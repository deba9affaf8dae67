//! The coordinator's side: it writes the file.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chassis::state::StateError;
use coordinator_core::{
    admitted::{Admitted, Entry},
    model::Node,
    time::Millis,
};

use super::file::{self, FORMAT};
use crate::files::{self, FileError, Paths};

/// The file as the coordinator writes it.
#[derive(Debug)]
pub(crate) struct List {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the file holds; `None` if that is not known.
    written: Option<Admitted>,
    /// Whether the last attempt failed.
    failed: bool,
}

impl List {
    /// Makes the directory if it is missing.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be made.
    pub(crate) fn open(paths: &Paths) -> Result<Self, FileError> {
        files::make_dir(&paths.relay_nodes(), 0o750)?;
        Ok(Self { path: file::path(paths), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes these nodes, unless the file says the same already. Not to be called twice at once.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written; the relay then goes by what it said before.
    pub(crate) async fn follow(&self, nodes: &[Node], now: Millis) -> Result<(), StateError> {
        let next = {
            let state = self.state();
            let nodes = nodes.iter().map(Entry::from).collect();
            let nothing = Admitted::default();
            let next = state.written.as_ref().unwrap_or(&nothing).next(nodes, now);
            if state.written.as_ref() == Some(&next) {
                return Ok(());
            }
            next
        };
        let (path, content) = (self.path.clone(), next.clone());
        let written = tokio::task::spawn_blocking(move || FORMAT.write(&path, &content)).await;
        // The runtime ends, and nobody is left to be told.
        let written = written.unwrap_or(Ok(()));
        let mut state = self.state();
        state.failed = written.is_err();
        // After a failure the file may hold either.
        state.written = written.is_ok().then_some(next);
        written
    }

    /// Whether the file says something else than the database because it could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }
}
