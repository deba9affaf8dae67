//! Finds machines from the host, and ends those whose creator was killed.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::{machine::MARK, process::signal_pid};

/// Ends all lab machines on this host; returns their names.
///
/// # Errors
///
/// `/proc` cannot be read.
pub fn all() -> Result<Vec<String>> {
    let machines = list()?;
    for (_, pid) in &machines {
        signal_pid(*pid, Signal::KILL);
    }
    Ok(machines.into_iter().map(|(name, _)| name).collect())
}

/// Every lab machine on this host: its name, and its first process numbered as on the host.
///
/// # Errors
///
/// `/proc` cannot be read.
pub fn list() -> Result<Vec<(String, u32)>> {
    let mut machines = Vec::new();
    for entry in fs::read_dir("/proc").context("no /proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let mut words = line.split(|byte| *byte == 0);
        if words.next() != Some(b"bash".as_slice()) {
            continue;
        }
        let name = words.find_map(|word| {
            let (mark, name) = std::str::from_utf8(word).ok()?.split_once(':')?;
            (mark == MARK).then(|| name.to_owned())
        });
        if let Some(name) = name {
            machines.push((name, pid));
        }
    }
    Ok(machines)
}
