//! Finds the files of a backup. The folders belong to services: what they put there besides files, a link to another
//! file of the host say, is neither followed nor read. Whatever fills a folder, a backup holds no more of it than its
//! place's bound ([`places::bounds`]); what is left out is named.

use std::{
    fs::{File, Metadata},
    io::{Seek as _, SeekFrom},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
};

use anyhow::Context as _;
use messages::message;
use rustix::{
    fs::{CWD, Dir, Mode, OFlags, openat, seek},
    io::Errno,
};

use super::places::{self, Bound, COPIED};

/// Deepest folder.
const DEPTH_MAX: usize = 32;
/// What is left out of one place is named so many times; the rest is counted.
const NAMED_MAX: usize = 100;
/// Holes of so many bytes in all are no sparse file yet.
const HOLES_MAX: u64 = 1 << 20;

/// Receives each file: its path below the root, its length in bytes, and the open file.
type FileSink<'a> = &'a mut dyn FnMut(&str, u64, File) -> anyhow::Result<()>;

/// A walk through all places.
pub(super) struct Walk<'a> {
    take: FileSink<'a>,
    /// How many files there were.
    pub(super) count: usize,
    budgets: Vec<Budget>,
}

/// What may still be saved of a place, and what was left out.
struct Budget {
    left: Bound,
    left_out: Vec<String>,
    /// How many further files were left out.
    more: usize,
    is_full: bool,
}

impl Budget {
    fn leave_out(&mut self, what: String) {
        if self.left_out.len() < NAMED_MAX { self.left_out.push(what) } else { self.more += 1 }
    }
}

/// Passes every file of a backup below the root to `take`, databases excepted, as far as it is within `bounds`.
pub(super) fn below<'a>(
    root: &Path,
    bounds: Vec<Bound>,
    take: FileSink<'a>,
) -> anyhow::Result<Walk<'a>> {
    let budget = |left| Budget { left, left_out: Vec::new(), more: 0, is_full: false };
    let mut walk = Walk { take, count: 0, budgets: bounds.into_iter().map(budget).collect() };
    for place in places::all() {
        let path = root.join(place);
        match openat(CWD, &path, flags(), Mode::empty()) {
            Ok(opened) => walk.enter(opened, place, 0)?,
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => {
                walk.budget(place)?.leave_out(message!("left-out-link", place).to_string())
            }
            Err(error) => {
                return Err(error).context(message!("not-opened", path = path.display()));
            }
        }
    }
    Ok(walk)
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC
}

impl Walk<'_> {
    /// Descriptions of what was left out.
    pub(super) fn left_out(self) -> Vec<String> {
        let of = |budget: Budget| {
            let (place, more) = (budget.left.place, budget.more);
            let more = (more > 0).then(|| message!("left-out-more", more, place).to_string());
            budget.left_out.into_iter().chain(more)
        };
        self.budgets.into_iter().flat_map(of).collect()
    }

    /// The budget of the place where a file or folder is.
    fn budget(&mut self, name: &str) -> anyhow::Result<&mut Budget> {
        let mut budgets = self.budgets.iter_mut();
        let found = budgets.find(|budget| places::is_below(name, budget.left.place));
        found.with_context(|| message!("not-in-backup", name))
    }

    fn enter(&mut self, opened: OwnedFd, name: &str, depth: usize) -> anyhow::Result<()> {
        let file = File::from(opened);
        let meta = file.metadata().with_context(|| message!("not-looked-at", name))?;
        if meta.is_dir() {
            return self.folder(&file, name, depth);
        }
        let is_copied = COPIED.contains(&name);
        if is_copied || is_temporary(name) || places::of(name).is_none() {
            return Ok(());
        }
        let len = meta.len();
        let budget = self.budget(name)?;
        if !meta.is_file() || meta.nlink() != 1 {
            budget.leave_out(message!("left-out-not-a-file", name).to_string());
        } else if is_sparse(&file, &meta) {
            let taken = taken(&meta);
            budget.leave_out(message!("left-out-sparse", name, len, taken).to_string());
        } else if len > budget.left.bytes {
            let (place, left) = (budget.left.place, budget.left.bytes);
            budget.leave_out(message!("left-out-large", name, len, place, left).to_string());
        } else {
            budget.left.bytes -= len;
            self.count += 1;
            return (self.take)(name, len, file);
        }
        Ok(())
    }

    fn folder(&mut self, folder: &File, name: &str, depth: usize) -> anyhow::Result<()> {
        if depth >= DEPTH_MAX {
            self.budget(name)?.leave_out(message!("left-out-deep", name).to_string());
            return Ok(());
        }
        for entry in self.names(folder, name)? {
            let below = format!("{name}/{entry}");
            if !self.has_room(&below)? {
                return Ok(());
            }
            match openat(folder, &entry, flags(), Mode::empty()) {
                Ok(opened) => self.enter(opened, &below, depth + 1)?,
                // It has gone meanwhile.
                Err(Errno::NOENT) => {}
                Err(Errno::LOOP | Errno::NXIO) => {
                    self.budget(&below)?
                        .leave_out(message!("left-out-not-a-file", name = below).to_string());
                }
                // Leased to somebody, for example.
                Err(error) if places::is_of_container(&below) => {
                    let what = message!("left-out-not-opened", name = below, error).to_string();
                    self.budget(&below)?.leave_out(what);
                }
                Err(error) => {
                    return Err(error).context(message!("not-opened", path = below));
                }
            }
        }
        Ok(())
    }

    /// The sorted entries of a folder, one more than allowed at most.
    fn names(&mut self, folder: &File, name: &str) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match Dir::read_from(folder) {
            Ok(entries) => entries,
            // It has gone meanwhile.
            Err(Errno::NOENT) => return Ok(names),
            Err(error) => return Err(error).context(message!("not-listed", name)),
        };
        for entry in entries {
            match entry.with_context(|| message!("not-listed", name))?.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(entry) => names.push(entry.to_owned()),
                Err(_) if self.has_room(&format!("{name}/"))? => {
                    let what = message!("left-out-name", name).to_string();
                    self.budget(name)?.leave_out(what);
                }
                Err(_) => {}
            }
            if names.len() > self.budget(&format!("{name}/"))?.left.files {
                break;
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether one more file or folder may be saved.
    fn has_room(&mut self, name: &str) -> anyhow::Result<bool> {
        let budget = self.budget(name)?;
        let has_room = budget.left.files > 0;
        budget.left.files = budget.left.files.saturating_sub(1);
        if !has_room && !budget.is_full {
            budget.is_full = true;
            let place = budget.left.place;
            budget.leave_out(message!("left-out-rest", place).to_string());
        }
        Ok(has_room)
    }
}

/// Whether a file has holes, which would fill the disk when it is restored. A compressing file system also stores less than the
/// length of a file, but reports no holes.
fn is_sparse(mut file: &File, meta: &Metadata) -> bool {
    if taken(meta).saturating_add(HOLES_MAX) >= meta.len() {
        return false;
    }
    let hole = seek(file, rustix::fs::SeekFrom::Hole(0));
    let is_back = file.seek(SeekFrom::Start(0)).is_ok();
    !is_back || hole.is_ok_and(|at| at < meta.len())
}

/// What a file takes on disk, in bytes.
fn taken(meta: &Metadata) -> u64 {
    meta.blocks().saturating_mul(512)
}

/// Whether it is a temporary file of an atomic write, or a daemon's copy of its database.
fn is_temporary(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    (file.starts_with('.') && file.ends_with(".new")) || name.contains("/.copy-")
}
