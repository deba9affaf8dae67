//! Acting as a process of a container does: in its files, with its rights.
#![allow(unsafe_code, reason = "a thread leaves the file system view of its process")]

use std::{fs::File, os::fd::AsFd as _, thread};

use anyhow::{Context as _, Result};
use rustix::{
    process::{Gid, Uid},
    thread::{LinkNameSpaceType, UnshareFlags},
};

/// Runs `work` on a thread that sees the files of process `pid` and has the rights of `uid`, and
/// no other: no capabilities, no groups but `gid`.
///
/// # Errors
///
/// The process has gone, or this is not root.
///
/// # Panics
///
/// When `work` panics.
pub fn as_process<T: Send>(
    pid: u32,
    uid: u32,
    gid: u32,
    work: impl FnOnce() -> T + Send,
) -> Result<T> {
    let files = File::open(format!("/proc/{pid}/ns/mnt")).context("the process has gone")?;
    thread::scope(|scope| {
        let thread = scope.spawn(move || -> Result<T> {
            // SAFETY: only this thread's view of files and directories is parted from the
            // process's; no other thread relies on sharing it.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
            rustix::thread::move_into_link_name_space(
                files.as_fd(),
                Some(LinkNameSpaceType::Mount),
            )?;
            rustix::thread::set_thread_groups(&[])?;
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
            Ok(work())
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Every process of a machine, those in its containers included, numbered as on the host, with its
/// name; `init` is the machine's first process.
///
/// # Errors
///
/// `/proc` cannot be read.
pub fn processes(init: u32) -> Result<Vec<(u32, String)>> {
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let machine = namespace(init).context("the machine has gone")?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("no /proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process entered from outside has a parent outside; a container's has one inside.
        let mut current = pid;
        while current > 1 && namespace(current).is_none_or(|of| of != machine) {
            current = parent(current).unwrap_or(0);
        }
        if current > 1 {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push((pid, name.trim().to_owned()));
        }
    }
    Ok(found)
}

fn parent(pid: u32) -> Option<u32> {
    status_field(pid, "PPid")?.parse().ok()
}

/// One field of `/proc/PID/status`.
#[must_use]
pub fn status_field(pid: u32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// The start time of a process in the kernel's ticks, which distinguishes processes with the same ID; `None` if it has ended.
#[must_use]
pub fn start(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22 (proc(5)); the name before it may hold spaces and parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
