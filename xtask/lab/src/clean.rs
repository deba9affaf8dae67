//! Finding and ending machines whose maker was stopped hard.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::{machine::MARK, process::signal_pid};

/// Ends every lab machine on this host, whoever made it; returns their names.
///
/// # Errors
///
/// `/proc` cannot be read.
pub fn all() -> Result<Vec<String>> {
    let mut ended = Vec::new();
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
            signal_pid(pid, Signal::KILL);
            ended.push(name);
        }
    }
    Ok(ended)
}
