//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whatever happened to the last holder: what the locks guard is valid between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
