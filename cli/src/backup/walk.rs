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
/// Most files.
const FILES_MAX: usize = 50_000;

/// What is done with each file: its path below the root, its length in bytes, and itself.
type Take<'a> = &'a mut dyn FnMut(&str, u64, File) -> anyhow::Result<()>;

/// A walk through all places.
pub(super) struct Walk<'a> {
    take: Take<'a>,
    /// How many files there were.
    pub(super) count: usize,
    /// What is no file, for people.
    pub(super) left_out: Vec<String>,
}

/// Passes every file of a backup below the root to `take`, the database excepted.
pub(super) fn below<'a>(root: &Path, take: Take<'a>) -> anyhow::Result<Walk<'a>> {
    let mut walk = Walk { take, count: 0, left_out: Vec::new() };
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
        if self.count > FILES_MAX {
            bail!("there are more than {FILES_MAX} files to back up; look what fills {name}");
        }
        (self.take)(name, meta.len(), file)
    }

    fn folder(&mut self, folder: &File, name: &str, depth: usize) -> anyhow::Result<()> {
        if depth >= DEPTH_MAX {
            self.left_out.push(format!("{name}, which is too deep"));
            return Ok(());
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).with_context(|| format!("cannot list {name}"))? {
            match entry?.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(entry) => names.push(entry.to_owned()),
                Err(_) => self.left_out.push(format!("a file in {name} whose name is no text")),
            }
        }
        names.sort();
        for entry in names {
            let below = format!("{name}/{entry}");
            match openat(folder, &entry, flags(), Mode::empty()) {
                Ok(opened) => self.enter(opened, &below, depth + 1)?,
                // It has gone meanwhile.
                Err(Errno::NOENT) => {}
                Err(Errno::LOOP | Errno::NXIO) => {
                    self.left_out.push(format!("{below}, which is no file of its own"));
                }
                Err(error) => return Err(error).context(format!("cannot open {below}")),
            }
        }
        Ok(())
    }
}

/// Whether it is a file that is about to take another's place, or the coordinator's own copy of its database.
fn is_temporary(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    (file.starts_with('.') && file.ends_with(".new")) || name.contains("/.copy-")
}
