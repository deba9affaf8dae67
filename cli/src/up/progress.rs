//! A progress indicator on a terminal; in a pipe, nothing.

use std::{fmt::Display, time::Duration};

use indicatif::ProgressBar;

/// A spinner with the current step.
#[derive(Debug)]
pub(crate) struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Shows the spinner.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Shows the next step.
    pub(crate) fn now(&self, text: impl Display) {
        self.bar.set_message(text.to_string());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
