//! The lock file of `maru up`, with the processes of the run.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use messages::message;
use serde::{Deserialize, Serialize};

/// The file, below the root.
const FILE: &str = "run/maru/up.pid";

/// The locked file; it holds a [`Record`] while `maru up` runs and nothing after a clean stop.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// The record of a killed run.
    pub(crate) previous: Option<Record>,
    record: Record,
}

/// A run and its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Version of this file.
    pub(crate) version: u32,
    /// The supervisor.
    pub(crate) pid: u32,
    /// The kernel's boot id: process numbers are reused after a reboot.
    pub(crate) boot: String,
    /// The children.
    pub(crate) children: Vec<Child>,
}

/// A child process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Child {
    /// Its service.
    pub(crate) service: String,
    /// Its number.
    pub(crate) pid: u32,
    /// When it started, in clock ticks; a later process with its number has another start.
    pub(crate) start: u64,
}

impl Child {
    /// Whether this process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.start)
    }
}

impl Lock {
    /// Takes the lock of the instance at `root` if its file exists; creates nothing.
    pub fn found(root: &Path) -> anyhow::Result<Option<Self>> {
        let path = root.join(FILE);
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => Self::hold(file, &path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| message!("not-opened", path = path.display())),
        }
    }

    /// Takes the lock of the instance at `root`.
    pub fn take(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(FILE);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| message!("not-opened", path = path.display()))?;
        Self::hold(file, &path)
    }

    fn hold(mut file: File, path: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        file.read_to_string(&mut text)
            .with_context(|| message!("file-not-read", path = path.display()))?;
        let previous: Option<Record> = serde_json::from_str(&text).ok();
        if file.try_lock().is_err() {
            let pid = previous.map_or(0, |record| record.pid);
            bail!(message!("up-runs-already", pid));
        }
        let record =
            Record { version: 1, pid: std::process::id(), boot: boot(), children: Vec::new() };
        let mut lock = Self { file, previous, record };
        lock.write()?;
        Ok(lock)
    }

    /// Records that `service` now runs as `pid`.
    pub(crate) fn started(&mut self, service: &str, pid: u32) -> anyhow::Result<()> {
        self.record.children.retain(|child| child.service != service);
        if let Some(start) = start_of(pid) {
            self.record.children.push(Child { service: service.to_owned(), pid, start });
        }
        self.write()
    }

    /// Whether a process of a run that was killed still runs.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        self.previous.iter().flat_map(|run| &run.children).any(Child::is_alive)
    }

    /// Empties the file: the run ended and left nothing.
    pub fn release(&mut self) -> anyhow::Result<()> {
        self.file.set_len(0).context(message!("file-not-saved", path = FILE))
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let text = serde_json::to_string(&self.record)?;
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .and_then(|_| self.file.write_all(text.as_bytes()))
            .context(message!("file-not-saved", path = FILE))
    }
}

/// The kernel's boot id.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When a process started: field 22 of `/proc/PID/stat` (proc(5)).
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Child, Lock, start_of};

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("run/maru")).unwrap();
        root
    }

    #[test]
    fn a_second_run_is_told_of_the_first() {
        let root = root();
        assert!(Lock::found(root.path()).unwrap().is_none());
        let first = Lock::take(root.path()).unwrap();

        let error = Lock::found(root.path()).unwrap_err().to_string();

        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        // A process that another test is starting holds all files for a moment.
        testkit::blocking::eventually("the lock is free", || Lock::take(root.path()));
    }

    #[test]
    fn a_killed_run_is_seen_and_a_clean_stop_leaves_nothing() {
        let root = root();
        let mut killed = Lock::take(root.path()).unwrap();
        killed.started("agent", std::process::id()).unwrap();
        drop(killed);

        let mut next = Lock::take(root.path()).unwrap();
        let previous = next.previous.clone().unwrap();
        next.release().unwrap();
        drop(next);

        assert!(previous.children[0].is_alive());
        assert_eq!(Lock::take(root.path()).unwrap().previous, None);
    }

    #[test]
    fn another_process_with_the_same_number_is_not_taken_for_the_child() {
        let pid = std::process::id();
        let start = start_of(pid).unwrap();

        assert!(Child { service: "agent".to_owned(), pid, start }.is_alive());
        assert!(!Child { service: "agent".to_owned(), pid, start: start + 1 }.is_alive());
    }
}
