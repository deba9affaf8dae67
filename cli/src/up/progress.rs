//! What is going on, for a person at a terminal; in a pipe, nothing.

use std::time::Duration;

use indicatif::ProgressBar;

/// A line that turns while something takes its time.
#[derive(Debug)]
pub(crate) struct Step {
    bar: ProgressBar,
}

impl Step {
    /// Shows what is being done.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Names the next thing.
    pub(crate) fn now(&self, text: &'static str) {
        self.bar.set_message(text);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
