//! The folder of the backups that are made each day, and which of them stay.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use coordinator_core::time::{self, Millis};
use messages::message;
use services::jobs::{BACKUP_PLACES, BACKUPS};

use crate::{
    model::{disk, size::size},
    up::saved_options::SavedOptions,
};

/// How many backups stay if nobody said it.
const KEEP: u16 = 7;

/// The folder of the daily backups.
#[derive(Debug)]
pub(crate) struct BackupFolder {
    /// Where they are.
    pub(crate) folder: PathBuf,
    keep: usize,
    /// Whether it is that of this machine, which a timer fills, and not of an instance in somebody's folder.
    is_of_machine: bool,
}

impl BackupFolder {
    /// As the saved options of the instance at `root` say.
    pub(crate) fn of(root: &Path, told: &SavedOptions) -> Self {
        let folder = told.backups.clone().unwrap_or_else(|| root.join(BACKUPS));
        let is_of_machine = root == Path::new("/");
        Self { folder, keep: told.keep_backups.unwrap_or(KEEP).into(), is_of_machine }
    }

    /// With another number of backups that stay.
    pub(super) fn keeping(self, keep: Option<u16>) -> Self {
        Self { keep: keep.map_or(self.keep, usize::from), ..self }
    }

    /// Makes the folder, for root alone. The folder above has to be there: it may be a disk that is not mounted.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error)
                .with_context(|| message!("directory-not-made", path = self.folder.display())),
            Ok(()) | Err(_) => self.check(),
        }
    }

    /// Fails if [`Self::make`] would; changes nothing.
    pub(crate) fn can_be_made(&self) -> anyhow::Result<()> {
        if self.folder.symlink_metadata().is_ok() {
            return self.check();
        }
        let above = self.folder.parent().unwrap_or(Path::new("/"));
        if !above.is_dir() {
            bail!(message!("backups-missing", path = above.display()));
        }
        self.is_safe()
    }

    fn is_safe(&self) -> anyhow::Result<()> {
        let check = match self.is_of_machine {
            true => chassis::root::check_for_root_alone,
            false => chassis::root::check,
        };
        if let Err(error) = check(&self.folder) {
            let (path, at) = (self.folder.display(), error.at().display());
            bail!(message!("backups-unsafe", path, at));
        }
        Ok(())
    }

    /// Fails unless the folder is there, and nobody but root can read what is in it, or put another one in its place.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let path = self.folder.display();
        let meta = match self.folder.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!(message!("backups-missing", path))
            }
            Err(error) => return Err(error).context(message!("file-not-read", path)),
        };
        if !meta.is_dir() || meta.uid() != 0 || meta.mode() & 0o077 != 0 {
            bail!(message!("backups-open", path));
        }
        self.is_safe()
    }

    /// Lets nobody else write a daily backup until the returned file is dropped; removes one that failed.
    pub(super) fn begin(&self) -> anyhow::Result<fs::File> {
        let failed = || message!("folder-not-read", path = self.folder.display());
        let folder = fs::File::open(&self.folder).with_context(failed)?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => bail!(message!("backup-verified-already")),
            Err(fs::TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        match fs::remove_file(self.unverified()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error)
                .with_context(|| message!("file-not-deleted", path = self.unverified().display())),
            Ok(()) | Err(_) => Ok(folder),
        }
    }

    /// Where a backup lies until it is verified. One that fails is removed when the next begins: failed ones do not fill the
    /// disk, and none of them is taken for the newest.
    pub(super) fn unverified(&self) -> PathBuf {
        self.folder.join("unverified.tar")
    }

    /// The file of a backup that is made now.
    pub(super) fn file(&self, now: Millis) -> PathBuf {
        self.folder.join(file_name(now))
    }

    /// Deletes the oldest files but `made` until as many are left as stay; returns their names.
    pub(super) fn delete_old(&self, made: &Path) -> anyhow::Result<Vec<String>> {
        let made = made.file_name().unwrap_or_default();
        let mut others = self.files()?;
        others.retain(|(_, name)| name.as_str() != made);
        let more = (others.len() + 1).saturating_sub(self.keep.max(1));
        let old: Vec<_> = others.into_iter().take(more).map(|(_, name)| name).collect();
        for name in &old {
            let path = self.folder.join(name);
            fs::remove_file(&path)
                .with_context(|| message!("file-not-deleted", path = path.display()))?;
        }
        Ok(old)
    }

    /// When the newest backup was made, if there is one.
    pub(crate) fn newest(&self) -> anyhow::Result<Option<Millis>> {
        Ok(self.files()?.last().map(|file| file.0))
    }

    /// Fails if another backup as large as the newest one would fill the disk.
    pub(super) fn has_room(&self) -> anyhow::Result<()> {
        let Some((_, name)) = self.files()?.pop() else { return Ok(()) };
        let path = self.folder.join(name);
        let meta = fs::metadata(&path)
            .with_context(|| message!("not-looked-at", name = path.display()))?;
        room_for(&self.folder, meta.len())
    }

    /// The backups in the folder, the oldest first. What has another name is not ours.
    fn files(&self) -> anyhow::Result<Vec<(Millis, String)>> {
        let failed = || message!("folder-not-read", path = self.folder.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_file = entry.file_type().with_context(failed)?.is_file();
            files.extend(made_at(&name).filter(|_| is_file).map(|at| (at, name)));
        }
        files.sort();
        Ok(files)
    }
}

/// Fails if the disk below `folder` has no room for so many bytes: the services need it more than a backup does.
pub(super) fn room_for(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    let free = disk::free(folder)?;
    if bytes > free {
        let (path, needed, free) = (folder.display(), size(bytes), size(free));
        bail!(message!("backup-no-room", path, needed, free));
    }
    Ok(())
}

/// Fails if the daily backup cannot write to a folder: its unit sees these places alone.
pub(crate) fn check_place(folder: &Path) -> Result<(), messages::Message> {
    let is_below = |place: &&str| {
        let plain = folder.components().all(|part| part != std::path::Component::ParentDir);
        plain && folder.starts_with(place) && folder != Path::new(place)
    };
    if BACKUP_PLACES.iter().any(is_below) {
        return Ok(());
    }
    let places = BACKUP_PLACES.join(", ");
    Err(message!("backups-elsewhere", path = folder.display(), places))
}

/// `maru-2026-11-26T22-10-00Z.tar`
fn file_name(at: Millis) -> String {
    let whole = time::to_rfc3339(at - at.rem_euclid(1000));
    format!("maru-{}.tar", whole.replace(':', "-"))
}

/// When the backup of this name was made; `None` if it is no name of a backup.
fn made_at(name: &str) -> Option<Millis> {
    let stamp = name.strip_prefix("maru-")?.strip_suffix(".tar")?;
    let (day, clock) = stamp.split_once('T')?;
    let at = time::parse_rfc3339(&format!("{day}T{}", clock.replace('-', ":")))?;
    (file_name(at) == name).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use proptest::prelude::*;

    use super::*;

    fn kept(folder: &Path, keep: u16) -> BackupFolder {
        BackupFolder { folder: folder.to_owned(), keep: keep.into(), is_of_machine: true }
    }

    #[test]
    fn the_oldest_go_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let day = time::DAY;
        let made: Vec<_> = (1..=4).map(|at| file_name(at * day)).collect();
        made.iter().for_each(|name| fs::write(at(name), "").unwrap());
        let foreign = ["maru-1970.tar", "maru-1970-01-01T00-00-00Z.tar.gz", "notes.txt"];
        foreign.iter().for_each(|name| fs::write(at(name), "").unwrap());
        fs::create_dir(at(&file_name(0))).unwrap();
        let kept = kept(folder.path(), 2);

        // The clock was set back: the one just made has an older name than the others.
        let deleted = kept.delete_old(&at(&made[1])).unwrap();

        assert_eq!(deleted, [made[0].clone(), made[2].clone()]);
        assert_eq!(kept.newest().unwrap(), Some(4 * day));
        assert_eq!(kept.files().unwrap().len(), 2);
        kept.has_room().unwrap();
        fs::File::options().write(true).open(at(&made[3])).unwrap().set_len(1 << 40).unwrap();
        assert!(kept.has_room().unwrap_err().to_string().contains("no room for 1.00 TiB"));
        assert!(foreign.iter().all(|name| at(name).exists()) && at(&file_name(0)).is_dir());
        assert_eq!(kept.delete_old(&at(&made[1])).unwrap(), Vec::<String>::new());
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_folder_that_others_could_read_or_replace_is_refused() {
        let above = tempfile::tempdir().unwrap();
        fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
        let folder = above.path().join("backups");
        let kept = kept(&folder, 1);
        let said = || kept.check().unwrap_err().to_string();

        assert!(said().contains("is not there"), "{}", said());
        kept.make().unwrap();
        kept.make().unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
        for mode in [0o701, 0o710, 0o750, 0o702] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            assert!(said().contains("root alone"), "{mode:o}: {}", said());
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&folder, Some(61901), None).unwrap();
        assert!(said().contains("root alone"), "{}", said());
        std::os::unix::fs::chown(&folder, Some(0), None).unwrap();
        fs::set_permissions(above.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(said().contains(&format!("{}", above.path().display())), "{}", said());
        fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
        let link = above.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        std::os::unix::fs::chown(above.path(), Some(61901), None).unwrap();
        assert!(said().contains(&format!("{}", above.path().display())), "{}", said());
        std::os::unix::fs::chown(above.path(), Some(0), None).unwrap();
        let linked = BackupFolder { folder: link, keep: 1, is_of_machine: true };
        assert!(linked.check().unwrap_err().to_string().contains("root alone"));
        kept.check().unwrap();
    }

    #[test]
    fn only_a_folder_that_the_unit_sees_is_taken() {
        for good in ["/var/backups/maru", "/mnt/disk", "/media/ann/disk/maru", "/srv/maru"] {
            assert_eq!(check_place(Path::new(good)), Ok(()), "{good}");
        }
        for wrong in ["/", "/mnt", "/home/ann", "/mntx/a", "mnt/a", "/mnt/../etc", "/var/lib/maru"]
        {
            assert!(check_place(Path::new(wrong)).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_name_says_when(at in 0..253_402_300_799_i64) {
            prop_assert_eq!(made_at(&file_name(at * 1000 + 7)), Some(at * 1000));
        }

        #[test]
        fn any_other_name_is_nobodys(name in "\\PC{0,40}|maru-[0-9TZ:.-]{0,24}\\.tar") {
            if let Some(at) = made_at(&name) {
                prop_assert_eq!(file_name(at), name);
            }
        }
    }
}
