//! A process inside a machine, which can be signalled.

use std::{
    fs,
    io::Read as _,
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How often a state is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(20);

/// A process started inside a machine; dropping it kills it.
///
/// `nsenter` stays its parent and passes no signals on, so signals go to the process itself. Both are
/// in a process group of their own: a terminal's Ctrl-C reaches only the process that made the machine.
#[derive(Debug)]
pub struct Process {
    nsenter: Child,
    pid: u32,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut nsenter =
            command.process_group(0).spawn().context("cannot run nsenter (util-linux)")?;
        let pid = loop {
            if let Some(pid) = child_of(nsenter.id()) {
                break pid;
            }
            if nsenter.try_wait()?.is_some() {
                break nsenter.id();
            }
            thread::sleep(Duration::from_millis(1));
        };
        Ok(Self { nsenter, pid })
    }

    /// The process, numbered as on the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The pipes and the exit status, as of any child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.nsenter
    }

    /// Sends a signal; it is not an error if the process has ended.
    pub fn signal(&self, signal: Signal) {
        signal_pid(self.pid, signal);
        // `nsenter` stops with its child.
        if signal == Signal::CONT {
            signal_pid(self.nsenter.id(), signal);
        }
    }

    /// Kills it, as a power failure would.
    pub fn signal_kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits up to `limit` for the end; `None` if it still runs.
    ///
    /// # Errors
    ///
    /// Waiting failed.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(status) = self.nsenter.try_wait()? {
                return Ok(Some(status));
            }
            if waited >= limit {
                return Ok(None);
            }
            thread::sleep(POLL);
            waited += POLL;
        }
    }

    /// Asks it to end (SIGTERM), waits up to `limit`, then kills it; the status it ended with.
    ///
    /// # Errors
    ///
    /// Waiting failed.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        if let Some(status) = self.wait_for(limit)? {
            return Ok(status);
        }
        self.signal(Signal::KILL);
        Ok(self.nsenter.wait()?)
    }

    /// Everything on its standard output until it closes it.
    ///
    /// # Errors
    ///
    /// Standard output is no pipe, or is not UTF-8.
    pub fn output(&mut self) -> Result<String> {
        let mut text = String::new();
        self.nsenter
            .stdout
            .as_mut()
            .context("standard output is no pipe")?
            .read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.nsenter.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            self.signal(Signal::CONT);
            let _ = self.nsenter.wait();
        }
    }
}

pub(crate) fn signal_pid(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The first child of a process, if it has one.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
