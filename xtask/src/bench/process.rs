//! A process with all that it started: what it takes.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// The unit of processor time in `/proc` (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Ends it when dropped.
#[derive(Debug)]
pub(super) struct Running(Child);

/// One line of the process table.
struct Entry {
    pid: u32,
    parent: u32,
    ticks: u64,
}

impl Running {
    /// What it says goes to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let said = File::create(log)?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let child = command.spawn();
        Ok(Self(child.with_context(|| format!("cannot run {:?}", command.get_program()))?))
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Processor time of it and its descendants, in milliseconds.
    pub(super) fn processor_ms(&self) -> Result<f64> {
        let ticks: u64 = self.family()?.iter().map(|entry| entry.ticks).sum();
        Ok(f64::from(u32::try_from(ticks)?) * 1e3 / TICKS_PER_SECOND)
    }

    /// Memory of it and its descendants, by this name of `/proc/PID/status`, in KiB.
    pub(super) fn memory_kib(&self, name: &str) -> Result<u64> {
        Ok(self.each_memory_kib(name)?.iter().sum())
    }

    /// The same of each: first its own, then those of its descendants.
    pub(super) fn each_memory_kib(&self, name: &str) -> Result<Vec<u64>> {
        let memory = |entry: &Entry| {
            let status = fs::read_to_string(format!("/proc/{}/status", entry.pid))?;
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value =
                line.and_then(|line| line.trim().strip_suffix("kB")).context("no such line")?;
            Ok(value.trim().parse()?)
        };
        self.family()?.iter().map(memory).collect()
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// It and its descendants.
    fn family(&self) -> Result<Vec<Entry>> {
        let mut rest = table()?;
        let mut family: Vec<Entry> = Vec::new();
        loop {
            let is_mine = |entry: &Entry| {
                entry.pid == self.0.id() || family.iter().any(|own| own.pid == entry.parent)
            };
            let (own, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_mine);
            if own.is_empty() {
                return Ok(family);
            }
            family.extend(own);
            rest = others;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Processor time of one process, in seconds.
pub(super) fn processor_s(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has gone")?;
    let entry = entry(pid, &text).context("/proc has no processor time")?;
    Ok(f64::from(u32::try_from(entry.ticks)?) / TICKS_PER_SECOND)
}

/// Resident memory of one process, in MiB.
pub(super) fn resident_mib(pid: u32) -> Result<f64> {
    let field = lab::inside::status_field(pid, "VmRSS");
    let kib = field.as_deref().and_then(|field| field.strip_suffix(" kB")?.parse::<u32>().ok());
    Ok(f64::from(kib.context("/proc has no resident memory")?) / 1024.0)
}

/// Runs a command to its end, which must be a success.
pub(super) fn done(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(status.success(), "{:?} ended with {status}", command.get_program());
    Ok(())
}

/// Every process; one that ends meanwhile is left out.
fn table() -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for folder in fs::read_dir("/proc")? {
        let name = folder?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            entries.extend(entry(pid, &text));
        }
    }
    Ok(entries)
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)): the name, in brackets, may hold anything.
fn entry(pid: u32, text: &str) -> Option<Entry> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Entry { pid, parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_brackets_confuses_nobody() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 100 0 0 0 11 4 0 0 20 0 1 0 5 6 7";
        let entry = entry(7, text).unwrap();
        assert_eq!((entry.pid, entry.parent, entry.ticks), (7, 3, 15));
    }

    #[test]
    fn children_are_counted() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 100 & wait"]);
        let running = Running::start(&mut command, Path::new("/dev/null")).unwrap();
        while running.family().unwrap().len() < 2 {
            std::thread::yield_now();
        }
        assert!(running.memory_kib("VmRSS").unwrap() > 0);
        assert!(running.processor_ms().unwrap() >= 0.0);
        // The shell passes no signal on.
        for entry in running.family().unwrap().iter().skip(1) {
            let pid = Pid::from_raw(entry.pid.try_into().unwrap()).unwrap();
            kill_process(pid, Signal::TERM).unwrap();
        }
    }
}
