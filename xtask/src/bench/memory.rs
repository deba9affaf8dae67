//! Resident memory of each daemon.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use lab::{Machine, inside};
use serde_json::{Value, json};

use super::{
    appliance::deployment,
    report::{Report, row},
};
use crate::progress::Step;

/// Long enough for what a start leaves behind to settle.
const SETTLE: Duration = Duration::from_secs(3);

/// One process, once.
#[derive(Debug)]
struct Process {
    pid: u32,
    machine: &'static str,
    /// Its name, and which of several it is.
    name: String,
    /// `VmRSS`, `VmHWM` and `RssAnon`, in KiB.
    now: u64,
    peak: u64,
    own: u64,
}

/// Measures after the start and after one chat.
pub(super) fn run() -> Result<Report> {
    let mut deployment = deployment()?;
    let laptop = deployment.member("laptop", "alice")?;
    let home = deployment.home.machine.clone();
    let look = || -> Result<Vec<Process>> {
        thread::sleep(SETTLE);
        let mut all = daemons("home", &home)?;
        all.extend(daemons("laptop", &laptop.instance.machine)?);
        Ok(all)
    };
    let start = look()?;
    let step = Step::new("one chat");
    laptop.instance.ok(&[
        "chat",
        "--max-tokens",
        "64",
        "--ignore-eos",
        "--ask",
        "What is a home?",
    ])?;
    step.done("one chat");
    let after = look()?;

    let mut table = vec![row(["", "start MiB", "chat MiB", "peak MiB", "own MiB"])];
    let mut results = Vec::new();
    for process in &after {
        let earlier = start.iter().find(|earlier| earlier.pid == process.pid);
        let earlier = earlier.map(|earlier| earlier.now);
        table.push(vec![
            format!("{}: {}", process.machine, process.name),
            earlier.map_or("-".to_owned(), mebibytes),
            mebibytes(process.now),
            mebibytes(process.peak),
            mebibytes(process.own),
        ]);
        results.push(json!({
            "machine": process.machine, "process": process.name, "start": earlier,
            "after_chat": process.now, "peak": process.peak, "anonymous": process.own,
        }));
    }
    let notes = vec![
        "start and chat: resident (VmRSS) after the start and after one chat; peak: VmHWM"
            .to_owned(),
        "own: anonymous part of it after the chat (RssAnon); the rest is the program's file, and \
         the engine's model, which the kernel can drop and read again"
            .to_owned(),
    ];
    Ok(Report { unit: "KiB", results: Value::Array(results), table, notes })
}

/// Every process of a machine that belongs to Maru, what holds its containers included.
fn daemons(machine: &'static str, on: &Machine) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for (pid, name) in inside::processes(on.pid())? {
        if !(name.starts_with("maru") || name == "conmon" || name == "podman") {
            continue;
        }
        // One that has ended since has no numbers.
        if let Some(process) = process(pid, machine, &name) {
            found.push(process);
        }
    }
    anyhow::ensure!(!found.is_empty(), "no daemon runs on {machine}");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn process(pid: u32, machine: &'static str, name: &str) -> Option<Process> {
    let field = |name: &str| -> Option<u64> {
        inside::status_field(pid, name)?.split(' ').next()?.parse().ok()
    };
    Some(Process {
        pid,
        machine,
        name: which(pid, name).unwrap_or_else(|_| name.to_owned()),
        now: field("VmRSS")?,
        peak: field("VmHWM")?,
        own: field("RssAnon")?,
    })
}

/// The program with its first plain argument, if it has one: `maru-coordinator relay`.
fn which(pid: u32, name: &str) -> Result<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).context("the process has gone")?;
    let line = String::from_utf8_lossy(&line).into_owned();
    // The kernel keeps 15 characters of a process's name; the command line has all of it.
    let mut args = line.split('\0');
    let program = args.next().and_then(|path| path.rsplit('/').next());
    let program = program.filter(|program| program.starts_with(name)).unwrap_or(name);
    if !program.starts_with("maru") {
        return Ok(program.to_owned());
    }
    let mut args = args.skip_while(|arg| *arg == "--root" || arg.starts_with('/'));
    let word = args.next().filter(|arg| arg.chars().all(|c| c.is_ascii_lowercase()));
    Ok(match word {
        Some(word) if !word.is_empty() => format!("{program} {word}"),
        _ => program.to_owned(),
    })
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{}.{}", kibibytes / 1024, kibibytes % 1024 * 10 / 1024)
}
