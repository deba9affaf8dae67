//! Ctrl-C, or a closed terminal: the first signal requests a clean stop, the second ends the program at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Starts listening for SIGINT, SIGTERM and SIGHUP.
pub(crate) fn install() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    thread::spawn(move || {
        for _ in signals.forever() {
            if ASKED.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        }
    });
}

/// Whether a stop was requested.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Fails if a stop was requested.
pub(crate) fn check() -> Result<()> {
    ensure!(!asked(), "stopped");
    Ok(())
}

/// Waits until a stop is requested or `until` returns true.
pub(crate) fn wait(mut until: impl FnMut() -> bool) {
    while !asked() && !until() {
        thread::sleep(Duration::from_millis(100));
    }
}
