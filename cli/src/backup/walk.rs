//! Finds the files of a backup. The folders belong to services: what they put there besides files, a link to another
//! file of the host say, is neither followed nor read.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{CWD, Dir, Mode, OFlags, openat},
    io::Errno,
};

use super::{DATABASE, places};

/// Deepest folder.
const DEPTH_MAX: usize = 32;
/// Most files outside of the agent's workspace.
const FILES_MAX: usize = 50_000;
/// Where an agent does as it likes, below the root: nothing that it makes there keeps the rest from being saved.
const WORKSPACE: &str = "var/lib/maru/gateway/workspace";
/// Most files and folders in it.
pub(super) const WORKSPACE_MAX: usize = 40_000;

/// What is done with each file: its path below the root, its length in bytes, and itself.
type Take<'a> = &'a mut dyn FnMut(&str, u64, File) -> anyhow::Result<()>;

/// A walk through all places.
pub(super) struct Walk<'a> {
    take: Take<'a>,
    /// How many files there were.
    pub(super) count: usize,
    /// What is no file, for people.
    pub(super) left_out: Vec<String>,
    /// How many files there were outside of the workspace.
    kept: usize,
    /// How much of the workspace is still taken.
    room: usize,
    is_full: bool,
}

/// Passes every file of a backup below the root to `take`, the database excepted. Of the workspace it looks at no more
/// than `room` files and folders.
pub(super) fn below<'a>(root: &Path, room: usize, take: Take<'a>) -> anyhow::Result<Walk<'a>> {
    let left_out = Vec::new();
    let mut walk = Walk { take, count: 0, left_out, kept: 0, room, is_full: false };
    for place in places::ALL {
        let path = root.join(place);
        match openat(CWD, &path, flags(), Mode::empty()) {
            Ok(opened) => walk.enter(opened, place, 0)?,
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => walk.left_out.push(format!("{place}, which is a link")),
            Err(error) => return Err(error).context(format!("cannot open {}", path.display())),
        }
    }
    Ok(walk)
}

/// Whether a file or folder is in the workspace.
pub(super) fn is_in_workspace(name: &str) -> bool {
    name.strip_prefix(WORKSPACE).is_some_and(|rest| rest.starts_with('/'))
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC
}

impl Walk<'_> {
    fn enter(&mut self, opened: OwnedFd, name: &str, depth: usize) -> anyhow::Result<()> {
        let file = File::from(opened);
        let meta = file.metadata().with_context(|| format!("cannot look at {name}"))?;
        if meta.is_dir() {
            return self.folder(&file, name, depth);
        }
        if name == DATABASE || is_temporary(name) || places::of(name).is_none() {
            return Ok(());
        }
        if !meta.is_file() || meta.nlink() != 1 {
            self.left_out.push(format!("{name}, which is no file of its own"));
            return Ok(());
        }
        self.count += 1;
        self.kept += usize::from(!is_in_workspace(name));
        if self.kept > FILES_MAX {
            bail!("there are more than {FILES_MAX} files to back up; look what fills {name}");
        }
        (self.take)(name, meta.len(), file)
    }

    fn folder(&mut self, folder: &File, name: &str, depth: usize) -> anyhow::Result<()> {
        if depth >= DEPTH_MAX {
            self.left_out.push(format!("{name}, which is too deep"));
            return Ok(());
        }
        for entry in self.names(folder, name)? {
            let below = format!("{name}/{entry}");
            if !self.has_room(&below) {
                return Ok(());
            }
            match openat(folder, &entry, flags(), Mode::empty()) {
                Ok(opened) => self.enter(opened, &below, depth + 1)?,
                // It has gone meanwhile.
                Err(Errno::NOENT) => {}
                Err(Errno::LOOP | Errno::NXIO) => {
                    self.left_out.push(format!("{below}, which is no file of its own"));
                }
                // Leased to somebody, for example.
                Err(error) if is_in_workspace(&below) => {
                    self.left_out.push(format!("{below}, which cannot be opened: {error}"));
                }
                Err(error) => return Err(error).context(format!("cannot open {below}")),
            }
        }
        Ok(())
    }

    /// What is in a folder, in order. Of the workspace no more than fits, and one too many to notice it.
    fn names(&mut self, folder: &File, name: &str) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match Dir::read_from(folder) {
            Ok(entries) => entries,
            // It has gone meanwhile.
            Err(Errno::NOENT) => return Ok(names),
            Err(error) => return Err(error).context(format!("cannot list {name}")),
        };
        for entry in entries {
            match entry.with_context(|| format!("cannot list {name}"))?.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(entry) => names.push(entry.to_owned()),
                Err(_) if self.has_room(&format!("{name}/")) => {
                    self.left_out.push(format!("a file in {name} whose name is no text"));
                }
                Err(_) => {}
            }
            if names.len() > self.room && is_in_workspace(&format!("{name}/")) {
                break;
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether a file or folder is still taken.
    fn has_room(&mut self, name: &str) -> bool {
        if !is_in_workspace(name) {
            return true;
        }
        let has_room = self.room > 0;
        self.room = self.room.saturating_sub(1);
        if !has_room && !self.is_full {
            self.is_full = true;
            self.left_out.push(format!("the rest of {WORKSPACE}, where there are too many files"));
        }
        has_room
    }
}

/// Whether it is a file that is about to take another's place, or the coordinator's own copy of its database.
fn is_temporary(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    (file.starts_with('.') && file.ends_with(".new")) || name.contains("/.copy-")
}
