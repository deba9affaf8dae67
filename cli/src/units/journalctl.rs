//! `journalctl`, the only way by which the journal is read: its formats are promised to stay (`journalctl(1)`).

use std::{process::Stdio, time::Duration};

use anyhow::Context as _;
use messages::message;
use tokio::{
    io::BufReader,
    process::{Child, ChildStdout, Command},
};

use crate::log::entry::{self, Entry, Priority};

/// Which entries are read.
#[derive(Clone, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) units: &'a [String],
    pub(crate) since: Duration,
    /// The least urgent one.
    pub(crate) priority: Priority,
    /// How many at most, the newest.
    pub(crate) lines: u32,
    pub(crate) newest_first: bool,
    /// Whether new ones follow without an end.
    pub(crate) follow: bool,
}

impl Query<'_> {
    fn args(&self) -> Vec<String> {
        let priority = match self.priority {
            Priority::Error => "err",
            Priority::Warning => "warning",
            Priority::Info => "info",
            Priority::Debug => "debug",
        };
        let mut args: Vec<_> = ["--output=json", "--no-pager", "--quiet"].map(str::to_owned).into();
        args.push(format!("--since=-{}s", self.since.as_secs()));
        args.push(format!("--priority={priority}"));
        args.push(format!("--lines={}", self.lines));
        args.extend(self.units.iter().map(|unit| format!("--unit={unit}.service")));
        args.extend(self.newest_first.then(|| "--reverse".to_owned()));
        args.extend(self.follow.then(|| "--follow".to_owned()));
        args
    }
}

/// Entries as they are read.
#[derive(Debug)]
pub(crate) struct Entries {
    /// Ends when this is dropped.
    _journalctl: Child,
    from: BufReader<ChildStdout>,
    priority: Priority,
}

impl Entries {
    /// Starts reading.
    pub(crate) fn read(query: &Query<'_>) -> anyhow::Result<Self> {
        let mut command = Command::new("journalctl");
        command.args(query.args()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::null()).kill_on_drop(true);
        let mut journalctl = command.spawn().context(message!("no-journalctl"))?;
        let from = journalctl.stdout.take().context(message!("no-journalctl"))?;
        Ok(Self { _journalctl: journalctl, from: BufReader::new(from), priority: query.priority })
    }

    /// The next one that is as urgent as asked for; `None` at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Entry>> {
        while let Some(line) = entry::next_line(&mut self.from).await? {
            if let Some(entry) = Entry::of_journal(&line)
                && entry.priority <= self.priority
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_asked_for_these_units_alone() {
        let query = Query {
            units: &["maru-relay".to_owned()],
            since: Duration::from_secs(60),
            priority: Priority::Error,
            lines: 5,
            newest_first: true,
            follow: false,
        };
        let args = query.args();
        for arg in ["--unit=maru-relay.service", "--since=-60s", "--priority=err", "--lines=5"] {
            assert!(args.iter().any(|it| it == arg), "{args:?}");
        }
        assert!(!args.iter().any(|it| it == "--follow"), "{args:?}");
    }
}
