//! Disk quotas of services.
//!
//! The kernel bounds the length of each file (`RLIMIT_FSIZE`), not their number: file system quotas are missing on many
//! hosts. So the supervisor measures from time to time. Between two measurements only the disk's speed bounds a service.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use messages::{Message, message};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat},
};
use services::Service;

/// How often a running service is measured.
const EVERY: Duration = Duration::from_secs(30);
/// Least size of a file or folder, in bytes: an empty one takes an inode and a name.
const LEAST: u64 = 4096;
/// Deepest folder that is measured; a deeper one exceeds the quota. Each level takes an open file.
const DEPTH_MAX: usize = 64;

/// The folders of a service and their quota.
#[derive(Clone, Debug)]
pub(crate) struct DiskQuota {
    /// Folders. No link in them is followed.
    pub(crate) places: Vec<PathBuf>,
    /// The quota, in bytes.
    pub(crate) most: u64,
    /// How often it is measured.
    pub(crate) every: Duration,
}

impl DiskQuota {
    /// The quota of `service` in the instance at `root`, by the service table.
    pub(crate) fn of(service: &Service, root: &Path) -> Self {
        let places = service.writable().iter().map(|path| root.join(path)).collect();
        Self { places, most: service.disk_mib << 20, every: EVERY }
    }

    /// What is wrong if the quota is exceeded.
    pub(crate) fn too_much(&self) -> Option<Message> {
        let mut left = self.most;
        let full = self.places.iter().find(|place| !fits(place, &mut left))?;
        Some(message!("disk-quota-exceeded", limit = self.most >> 20, path = full.display()))
    }

    /// The same, measured on a background thread.
    pub(crate) async fn look(&self) -> Option<Message> {
        let disk = self.clone();
        tokio::task::spawn_blocking(move || disk.too_much()).await.ok().flatten()
    }

    /// Completes when the quota is exceeded.
    pub(crate) async fn fills(&self) -> Message {
        loop {
            tokio::time::sleep(self.every).await;
            if let Some(why) = self.look().await {
                return why;
            }
        }
    }
}

/// Subtracts the size of a folder from `left`; `false` if it is larger.
fn fits(place: &Path, left: &mut u64) -> bool {
    let Ok(top) = openat(CWD, place, flags(), Mode::empty()) else { return true };
    let Some(top) = Folder::of(top) else { return true };
    let mut open = vec![top];
    while let Some(folder) = open.last_mut() {
        let Some(entry) = folder.entries.next() else {
            open.pop();
            continue;
        };
        // What cannot be read now is counted the next time.
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

/// An open folder.
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

/// The allocated size of a file, in bytes.
fn taken(found: &Stat) -> u64 {
    u64::try_from(found.st_blocks).unwrap_or(0).saturating_mul(512).max(LEAST)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn disk(place: &Path, most: u64) -> DiskQuota {
        DiskQuota { places: vec![place.to_owned()], most, every: EVERY }
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
        let said = disk(dir.path(), 64 << 10).too_much().unwrap().to_string();
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
