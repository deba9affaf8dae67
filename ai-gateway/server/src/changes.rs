//! Serializes changes of a state file. While one is written, others can read the state in memory.
//!
//! A change holds the lock from its decision until it is in memory, so that none is lost; it gets into memory after it
//! is on disk. Only other changes wait for the disk.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chassis::state::{Format, StateError};
use serde::Serialize;

/// The changes of one file.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) path: PathBuf,
    turn: Mutex<()>,
    /// Lets tests delay the disk.
    #[cfg(test)]
    pub(crate) disk: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

/// The lock of one change.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    changes: &'a Changes,
    _turn: MutexGuard<'a, ()>,
}

impl Changes {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            turn: Mutex::default(),
            #[cfg(test)]
            disk: Mutex::default(),
        }
    }

    /// Waits for earlier changes. Do not hold the lock of the state meanwhile.
    pub(crate) fn begin(&self) -> Change<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Change { changes: self, _turn: turn }
    }
}

impl Change<'_> {
    /// Replaces the file.
    pub(crate) fn write<T: Serialize>(
        &self,
        format: &Format<T>,
        value: &T,
    ) -> Result<(), StateError> {
        #[cfg(test)]
        if let Some(disk) = &*self.changes.disk.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = disk.recv();
        }
        format.write(&self.changes.path, value)
    }
}
