//! Changes of a state file: one after the other, each written while what is in memory is read by everybody else.
//!
//! A change holds its turn from when it is decided until it is in memory, so that none is lost; it is in memory once it is
//! on disk. Nobody waits for the disk but those who change something.

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
    /// Where tests let the disk be slow: it writes once it hears something.
    #[cfg(test)]
    pub(crate) disk: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

/// The turn of one change.
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

    /// Waits for the changes before. Do not hold the lock of what is changed meanwhile.
    pub(crate) fn begin(&self) -> Change<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Change { changes: self, _turn: turn }
    }
}

impl Change<'_> {
    /// Puts this into the file's place.
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
