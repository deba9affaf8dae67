//! `maru log --daemon`: what the daemons of this machine log, from the journal, or from the files of `maru up`.

use std::{path::Path, process::ExitCode, time::Duration};

use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use messages::message;
use services::{SERVERS, SERVICES};

use super::{
    entry::{Entry, Priority},
    files::LogFile,
};
use crate::{
    output::{self, Format},
    units::{
        self,
        journalctl::{Entries, Query},
    },
};

/// The name that stands for every daemon.
pub(super) const ALL: &str = "all";
/// Interval between looks for new entries.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Most entries that are shown without `--follow`: the newest.
const ENTRIES_MAX: usize = 10_000;

/// What may be named: services of a home, and servers of a confidential deployment.
pub(super) fn names() -> PossibleValuesParser {
    let names = SERVICES.iter().map(|service| service.name);
    let servers = SERVERS.iter().map(|server| server.name);
    PossibleValuesParser::new([ALL].into_iter().chain(names).chain(servers))
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// A name of [`names`].
    pub(super) name: String,
    pub(super) since: Duration,
    pub(super) priority: Priority,
    pub(super) follow: bool,
    pub(super) format: Format,
}

impl Selection {
    fn is_asked(&self, name: &str) -> bool {
        self.name == ALL || self.name == name
    }
}

/// Prints what they log.
pub(crate) async fn run(selection: Selection, root: &Path) -> anyhow::Result<ExitCode> {
    if units::are_active(root).await || (units::are_installed(root).await && !has_files(root)) {
        return journal(&selection).await;
    }
    let services = SERVICES.iter().map(|service| service.name);
    let services = services.filter(|name| selection.is_asked(name));
    files(&selection, services.map(|service| LogFile::new(root, service)).collect()).await
}

/// Whether `maru up` ever wrote logs below `root`.
fn has_files(root: &Path) -> bool {
    root.join("var/log/maru").exists()
}

async fn journal(selection: &Selection) -> anyhow::Result<ExitCode> {
    let servers = SERVERS.iter().map(|server| server.name);
    let names = SERVICES.iter().map(|service| service.name).chain(servers);
    let names = names.filter(|name| selection.is_asked(name));
    let units: Vec<_> = names.map(|name| format!("maru-{name}")).collect();
    let mut entries = Entries::read(&Query {
        units: &units,
        since: selection.since,
        priority: selection.priority,
        lines: u32::try_from(ENTRIES_MAX)?,
        newest_first: false,
        follow: selection.follow,
    })?;
    let mut read = Vec::new();
    while let Some(entry) = entries.next().await? {
        if selection.follow {
            one(selection.format, &entry)?;
        } else {
            read.push(entry);
        }
    }
    print(selection, &read)
}

async fn files(selection: &Selection, mut files: Vec<LogFile>) -> anyhow::Result<ExitCode> {
    let since = since(selection.since);
    loop {
        let mut entries: Vec<_> = files.iter_mut().flat_map(LogFile::read).collect();
        entries.retain(|entry| entry.at >= since && entry.priority <= selection.priority);
        entries.sort_by_key(|entry| entry.at);
        if !selection.follow {
            let first = entries.len().saturating_sub(ENTRIES_MAX);
            return print(selection, &entries[first..]);
        }
        entries.iter().try_for_each(|entry| one(selection.format, entry))?;
        tokio::time::sleep(LOOK).await;
    }
}

/// The time so long ago; the beginning of time if there was none.
fn since(ago: Duration) -> Timestamp {
    Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN)
}

fn print(selection: &Selection, entries: &[Entry]) -> anyhow::Result<ExitCode> {
    if entries.is_empty() && !rustix::process::geteuid().is_root() {
        output::note(message!("log-root"));
    }
    match selection.format {
        Format::Table => entries.iter().try_for_each(|entry| one(Format::Table, entry))?,
        format @ (Format::Json | Format::Yaml) => output::structured(format, &entries)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn one(format: Format, entry: &Entry) -> anyhow::Result<()> {
    match format {
        Format::Table => output::line(entry),
        Format::Json | Format::Yaml => output::line(output::json(entry)?),
    }
}

/// The last failure of a unit within `since`: what its daemon said, or why systemd says that it failed.
pub(crate) async fn last_failure(unit: &str, since: Duration) -> Option<Entry> {
    let mut entries = Entries::read(&Query {
        units: &[unit.to_owned()],
        since,
        priority: Priority::Warning,
        lines: 200,
        newest_first: true,
        follow: false,
    })
    .ok()?;
    let mut all = Vec::new();
    while let Some(entry) = entries.next().await.ok()? {
        all.push(entry);
    }
    failure_of(all)
}

/// The failure among entries from the newest on. If a daemon ended by itself, systemd's entry says no more than that, so what
/// the daemon said is taken.
fn failure_of(newest_first: Vec<Entry>) -> Option<Entry> {
    let mut exit = None;
    for entry in newest_first {
        match entry.result.as_deref() {
            Some("exit-code") => exit = exit.or(Some(entry)),
            Some(_) => return Some(entry),
            None if entry.priority == Priority::Error => return Some(entry),
            None => {}
        }
    }
    exit
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn entry(message: &str, priority: Priority, result: Option<&str>) -> Entry {
        Entry {
            at: Timestamp::UNIX_EPOCH,
            daemon: "agent".to_owned(),
            priority,
            message: message.to_owned(),
            fields: BTreeMap::new(),
            result: result.map(str::to_owned),
        }
    }

    #[test]
    fn a_failure_is_what_the_daemon_said_or_why_systemd_says_it_ended() {
        let said = entry("no room", Priority::Error, None);
        let warned = entry("slow", Priority::Warning, None);
        let ended = entry("Failed with result 'exit-code'.", Priority::Warning, Some("exit-code"));
        let killed = entry("Failed with result 'oom-kill'.", Priority::Warning, Some("oom-kill"));

        let of = |entries: &[&Entry]| failure_of(entries.iter().map(|it| (*it).clone()).collect());
        assert_eq!(of(&[&warned, &ended, &said]), Some(said.clone()));
        assert_eq!(of(&[&warned, &killed, &said]), Some(killed));
        assert_eq!(of(&[&ended, &warned]), Some(ended));
        assert_eq!(of(&[&warned]), None);
    }

    #[test]
    fn a_home_and_a_deployment_are_named() {
        let names = names();
        let parse = |name| {
            let command =
                clap::Command::new("it").arg(clap::Arg::new("name").value_parser(names.clone()));
            command.try_get_matches_from(["it", name]).is_ok()
        };
        for name in [ALL, "coordinator", "gateway", "inference-2", "confidential-relay"] {
            assert!(parse(name), "{name}");
        }
        assert!(!parse("ssh"));
    }
}
