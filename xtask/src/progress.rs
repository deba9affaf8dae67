//! Progress bars on a terminal, plain lines elsewhere.

use std::{cell::Cell, io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A step that takes a while.
pub(crate) struct Step {
    bar: Option<ProgressBar>,
    /// Tenths of the way that were already said, where there is no bar.
    said: Cell<u64>,
}

impl Step {
    /// Announces it.
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
        Self { bar, said: Cell::new(0) }
    }

    /// Hands on a line that stays to be read.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("  {text}")),
            None => eprintln!("  {text}"),
        }
    }

    /// Says how far it is, and what is done just now.
    pub(crate) fn at(&self, position: u64, length: u64, what: &str) {
        let position = position.min(length);
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                style(
                    bar,
                    "[{bar:24}] {percent:>3} % {elapsed:.dim}, {eta:.dim} to go  {wide_msg}",
                );
            }
            bar.set_length(length);
            bar.set_position(position);
            bar.set_message(what.to_owned());
            return;
        }
        let tenths = position.saturating_mul(10).checked_div(length).unwrap_or(0);
        // apt begins again where it downloads and where it installs; what was said is not said twice.
        if tenths > self.said.get() {
            self.said.set(tenths);
            eprintln!("  {} %", tenths * 10);
        }
    }

    /// Ends it, with what came of it.
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

fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}
