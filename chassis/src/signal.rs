//! Signals: those that stop a daemon, and SIGXFSZ, which must not.

use std::io;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::notify;

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
    /// SIGXFSZ: a write would exceed `RLIMIT_FSIZE`.
    _file_size: Signal,
}

impl Termination {
    /// Handles these signals from now on, instead of ending the process. A write that exceeds the limit of a file's size
    /// fails with `EFBIG`.
    ///
    /// # Errors
    ///
    /// The system refuses.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    /// Waits for SIGTERM or SIGINT, and tells the service manager that the daemon stops. Cancel-safe.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        notify::stopping();
    }
}
