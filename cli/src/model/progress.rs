//! The progress of a pull: a bar on a terminal, lines in a pipe.

use std::{fmt::Display, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use messages::message;

use crate::{model::size::size, output};

/// Most lines of one pull in a pipe: whoever sends it says how many there would be.
const LINES_MAX: u32 = 200;

/// Shows how much has come.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// What is fetched, if several things are.
    what: String,
    /// The size and tenth of the last line.
    last: Option<(u64, u64)>,
    lines: u32,
}

impl Progress {
    /// Shows nothing yet.
    pub(super) fn new() -> Self {
        let form = message!("pull-progress");
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(&form.to_string()) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, what: String::new(), last: None, lines: 0 }
    }

    /// Shows what happens now.
    pub(super) fn step(&mut self, what: &str) {
        if self.what == what {
            return;
        }
        what.clone_into(&mut self.what);
        self.last = None;
        self.bar.set_message(what.to_owned());
        if self.bar.is_hidden() {
            self.line(what);
        }
    }

    /// Shows that so many bytes of so many have come; 0 if it is unknown of how many.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let percent = u128::from(done) * 100 / u128::from(total.max(1));
        let tenth = u64::try_from(percent / 10).unwrap_or(u64::MAX);
        if !self.bar.is_hidden() || total == 0 || self.last == Some((total, tenth)) {
            return;
        }
        self.last = Some((total, tenth));
        let (done, total, percent) = (size(done), size(total), percent.to_string());
        self.line(message!("pull-at", done, total, percent));
    }

    /// Says something above the bar.
    pub(super) fn note(&self, text: impl Display) {
        self.bar.suspend(|| output::note(text));
    }

    fn line(&mut self, text: impl Display) {
        if self.lines < LINES_MAX {
            self.lines += 1;
            output::note(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
