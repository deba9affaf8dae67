//! How much a service keeps on disk.
//!
//! The kernel bounds the length of each file (`RLIMIT_FSIZE`), and nothing bounds their number: a bounded file system for
//! each service takes a quota or an image that many hosts do not have. So whoever keeps a service running looks from time
//! to time. What it writes between two looks is bounded by the speed of the disk alone.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat},
};
use services::Service;

/// How often a running service is looked at.
const EVERY: Duration = Duration::from_secs(30);
/// What each file and folder counts at least, in bytes: an empty one takes an inode and a name.
const LEAST: u64 = 4096;
/// Deepest folder that is looked into; a deeper one counts as too much. Each takes an open file meanwhile.
const DEPTH_MAX: usize = 64;

/// Where a service may write, and how much.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Folders. No link in them is followed.
    pub(crate) places: Vec<PathBuf>,
    /// In all, in bytes.
    pub(crate) most: u64,
    /// How often it is looked at.
    pub(crate) every: Duration,
}

impl Disk {
    /// What the service table gives `service` in the instance at `root`.
    pub(crate) fn of(service: &Service, root: &Path) -> Self {
        let places = service.writable().iter().map(|path| root.join(path)).collect();
        Self { places, most: service.disk_mib << 20, every: EVERY }
    }

    /// Says that there is too much, and where. Looks no further then.
    pub(crate) fn too_much(&self) -> Option<String> {
        let mut left = self.most;
        let full = self.places.iter().find(|place| !fits(place, &mut left))?;
        Some(format!(
            "it keeps more than {} MiB on disk and is stopped for that; see what fills {}, and remove it",
            self.most >> 20,
            full.display()
        ))
    }

    /// Looks in the background; says that there is too much.
    pub(crate) async fn look(&self) -> Option<String> {
        let disk = self.clone();
        tokio::task::spawn_blocking(move || disk.too_much()).await.ok().flatten()
    }

    /// Completes when there is too much, and says so.
    pub(crate) async fn fills(&self) -> String {
        loop {
            tokio::time::sleep(self.every).await;
            if let Some(why) = self.look().await {
                return why;
            }
        }
    }
}

/// Takes from `left` what is below `place`; `false` if it is more.
fn fits(place: &Path, left: &mut u64) -> bool {
    // One that is not there holds nothing.
    let Ok(top) = openat(CWD, place, flags(), Mode::empty()) else { return true };
    let Some(top) = Folder::of(top) else { return true };
    let mut open = vec![top];
    while let Some(folder) = open.last_mut() {
        let Some(entry) = folder.entries.next() else {
            open.pop();
            continue;
        };
        // What cannot be read now is counted at the next look.
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(found) = statat(&folder.opened, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let Some(rest) = left.checked_sub(taken(&found)) else { return false };
        *left = rest;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            continue;
        }
        let below = openat(&folder.opened, name, flags(), Mode::empty()).ok().and_then(Folder::of);
        if below.is_some() && open.len() >= DEPTH_MAX {
            return false;
        }
        open.extend(below);
    }
    true
}

/// A folder that is being looked into.
struct Folder {
    opened: OwnedFd,
    entries: Dir,
}

impl Folder {
    fn of(opened: OwnedFd) -> Option<Self> {
        let entries = Dir::read_from(&opened).ok()?;
        Some(Self { opened, entries })
    }
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// What a file takes on disk, in bytes: a sparse one not its length.
fn taken(found: &Stat) -> u64 {
    u64::try_from(found.st_blocks).unwrap_or(0).saturating_mul(512).max(LEAST)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn disk(place: &Path, most: u64) -> Disk {
        Disk { places: vec![place.to_owned()], most, every: EVERY }
    }

    #[test]
    fn bytes_and_files_count_and_links_and_holes_do_not() {
        let [dir, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::write(other.path().join("large"), vec![1; 1 << 20]).unwrap();
        symlink(other.path(), dir.path().join("link")).unwrap();
        fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();

        assert_eq!(disk(dir.path(), 64 << 10).too_much(), None);
        fs::write(dir.path().join("folder/text"), vec![1; 128 << 10]).unwrap();
        let said = disk(dir.path(), 64 << 10).too_much().unwrap();
        assert!(said.contains(dir.path().to_str().unwrap()), "{said}");
        fs::remove_file(dir.path().join("folder/text")).unwrap();
        for at in 0..32 {
            fs::write(dir.path().join(format!("folder/{at}")), "").unwrap();
        }
        assert!(disk(dir.path(), 64 << 10).too_much().is_some());
        assert_eq!(disk(&dir.path().join("none"), 0).too_much(), None);
    }

    #[test]
    fn folders_without_end_are_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let deep = |depth| (0..depth).fold(dir.path().to_owned(), |path, _| path.join("a"));

        fs::create_dir_all(deep(DEPTH_MAX - 1)).unwrap();
        assert_eq!(disk(dir.path(), 1 << 30).too_much(), None);
        fs::create_dir_all(deep(DEPTH_MAX)).unwrap();
        assert!(disk(dir.path(), 1 << 30).too_much().is_some());
    }
}
