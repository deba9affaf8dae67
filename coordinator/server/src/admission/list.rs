//! The coordinator's side: writes the file.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chassis::state::StateError;
use coordinator_core::{
    admission::{AdmissionList, AdmittedKey},
    model::Node,
    time::Millis,
};

use super::file::{self, FORMAT};
use crate::files::{self, FileError, Paths};

/// Writes the file.
#[derive(Debug)]
pub(crate) struct ListWriter {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The content of the file; `None` if unknown.
    written: Option<AdmissionList>,
    /// Whether the last attempt failed.
    failed: bool,
}

impl ListWriter {
    /// Creates the directory if it is missing.
    pub(crate) fn open(paths: &Paths) -> Result<Self, FileError> {
        files::make_dir(&paths.relay_nodes(), 0o750)?;
        Ok(Self { path: file::path(paths), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes these nodes unless the file has them already. Must not run twice at once. If writing fails, the relay uses the
    /// earlier list.
    pub(crate) async fn follow(&self, nodes: &[Node], now: Millis) -> Result<(), StateError> {
        let next = {
            let state = self.state();
            let nodes = nodes.iter().map(AdmittedKey::from).collect();
            let nothing = AdmissionList::default();
            let next = state.written.as_ref().unwrap_or(&nothing).next(nodes, now);
            if state.written.as_ref() == Some(&next) {
                return Ok(());
            }
            next
        };
        let (path, content) = (self.path.clone(), next.clone());
        let written = tokio::task::spawn_blocking(move || FORMAT.write(&path, &content)).await;
        // The task is only cancelled when the runtime shuts down.
        let written = written.unwrap_or(Ok(()));
        let mut state = self.state();
        state.failed = written.is_err();
        // After a failure the file may have either content.
        state.written = written.is_ok().then_some(next);
        written
    }

    /// Whether the last write failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }
}
