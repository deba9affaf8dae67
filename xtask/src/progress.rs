//! Progress bars on a terminal, plain lines elsewhere.

use std::{
    cell::Cell,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Interval of progress lines, if there is no bar.
const PAUSE: Duration = Duration::from_secs(20);
/// Progress below which the remaining time is not estimated.
const TOLD: f64 = 0.05;

/// A step with progress.
pub(crate) struct Step {
    bar: Option<ProgressBar>,
    begun: Instant,
    /// When the last progress line was printed.
    said: Cell<Instant>,
}

impl Step {
    /// Starts the step and prints it.
    pub(crate) fn new(what: &str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner().with_message(what.to_owned());
            style(&bar, "{spinner} {msg} {elapsed:.dim}");
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        } else {
            eprintln!("{what} …");
            None
        };
        let begun = Instant::now();
        Self { bar, begun, said: Cell::new(begun) }
    }

    /// Prints a permanent line.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("  {text}")),
            None => eprintln!("  {text}"),
        }
    }

    /// Shows the elapsed part of the time (0 to 1), and the current work.
    pub(crate) fn at(&self, share: f64, what: &str) {
        let left = left(share, self.begun.elapsed());
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                style(bar, "[{bar:24}] {percent:>3} % {elapsed:.dim}  {wide_msg}");
                bar.set_length(1000);
            }
            bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
            bar.set_message(format!("{left}{what}"));
            return;
        }
        if self.said.get().elapsed() >= PAUSE {
            self.said.set(Instant::now());
            eprintln!("  {left}{what}");
        }
    }

    /// Ends the step with its result.
    pub(crate) fn done(self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("✓ {what}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The estimated remaining time as text; empty if there is no estimate.
fn left(share: f64, elapsed: Duration) -> String {
    if !(TOLD..1.0).contains(&share) {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() * (1.0 - share) / share;
    match (seconds / 60.0).round() as u64 {
        0 => "less than a minute left: ".to_owned(),
        1 => "about 1 minute left: ".to_owned(),
        minutes => format!("about {minutes} minutes left: "),
    }
}

fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_time_that_is_over() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(left(0.25, minutes(2)), "about 6 minutes left: ");
        assert_eq!(left(0.5, minutes(1)), "about 1 minute left: ");
        assert_eq!(left(0.99, minutes(5)), "less than a minute left: ");
        for unknown in [0.0, 0.01, 1.0, 1.5, f64::NAN] {
            assert_eq!(left(unknown, minutes(1)), "");
        }
    }
}
