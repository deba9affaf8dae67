//! The signals that ask a daemon to stop, and the one that must not end it.

use std::io;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
    /// A file that would grow past its limit (`RLIMIT_FSIZE`).
    _too_long: Signal,
}

impl Termination {
    /// Watches for them from now on; they no longer end the process by themselves. Nor does writing more to a file than
    /// it may hold: that write alone fails (`EFBIG`).
    ///
    /// # Errors
    ///
    /// Fails if the system does not let it.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_long: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    /// Returns when one of them has come. May be dropped and asked again: nothing is lost.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
