//! A daemon's log: the argument `--log`, entries of systemd's journal, or else lines on standard error.
//!
//! Lines have no colours: Podman or `maru up` reads them. Control characters are replaced in both, so that untrusted text,
//! such as a hostname, can neither control a terminal nor begin a line.

pub mod event;
pub(crate) mod journal;
pub mod request;

mod entry;

use std::io::{self, Write};

use clap::Args;
use common::foreign;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

pub use tracing_subscriber::filter::LevelFilter;

/// The argument `--log`; flatten it into a daemon's arguments.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Log filter: a level (error, warn, info, debug, trace), or `target=level,…`, such as `info,node_agent=debug`
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: Targets,
}

impl LogArgs {
    /// Whether the filter shows more of a target than usual: also what is for debugging.
    #[must_use]
    pub fn is_detailed(&self, target: &str) -> bool {
        self.log.would_enable(target, &tracing::Level::DEBUG)
    }

    /// Starts logging: to the journal if standard error leads there, else to standard error. Call it once, before anything
    /// else.
    ///
    /// `at_most` limits targets regardless of the filter: below that level they are misleading, or log content.
    pub fn start(self, at_most: &[(&'static str, LevelFilter)]) {
        let limit =
            Targets::new().with_default(LevelFilter::TRACE).with_targets(at_most.iter().copied());
        let entries = journal::open().map(journal::Entries);
        let lines = entries.is_none().then(|| {
            let lines = tracing_subscriber::fmt::layer().with_ansi(false);
            lines.with_writer(|| Sanitizer(io::stderr()))
        });
        tracing_subscriber::registry().with(self.log).with(limit).with(entries).with(lines).init();
    }
}

/// Replaces control characters. Each write is one line of `tracing-subscriber`.
struct Sanitizer<W>(W);

impl<W: Write> Write for Sanitizer<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(format!("{}\n", foreign::line(text.trim_end())).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        log: LogArgs,
    }

    fn filter(args: &[&str]) -> Result<Targets, clap::Error> {
        let program = Program::try_parse_from([&["program"], args].concat())?;
        Ok(program.log.log)
    }

    /// What is logged in a test.
    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u8>>>);

    impl Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_strangers_words_are_one_line_that_steers_no_terminal() {
        let logged = Logged::default();
        let writer = logged.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || Sanitizer(writer.clone()));
        let words = "a\u{202e}b\u{9b}2J\n2026-01-01T00:00:00Z  INFO forged";

        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::info!(hostname = words, "{words}");
        });

        let said = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said:?}");
        assert!(said.ends_with('\n') && !said.trim_end().contains(foreign::steers), "{said:?}");
    }

    #[test]
    fn levels_and_targets_are_taken_and_anything_else_is_refused_in_a_sentence() {
        let (info, debug) = (tracing::Level::INFO, tracing::Level::DEBUG);
        let usual = filter(&[]).unwrap();
        assert!(usual.would_enable("any", &info) && !usual.would_enable("any", &debug));
        let one = filter(&["--log", "info,node_agent=debug"]).unwrap();
        assert!(one.would_enable("node_agent::control", &debug));
        assert!(!one.would_enable("any", &debug));

        let refused = filter(&["--log", "node_agent=loud"]).unwrap_err().to_string();
        assert!(refused.contains("--log") && refused.contains("node_agent=loud"), "{refused}");
    }
}
