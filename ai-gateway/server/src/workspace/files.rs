//! Reads workspace files. Whoever can write in the folder decides what they are, so nothing here follows a link, waits for
//! a pipe, or reads more than its bound.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
};

use common::foreign;
use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, openat, unlinkat};

/// A file below the workspace's folder.
pub(super) struct WorkspaceFile {
    folder: OwnedFd,
    name: String,
    file: File,
}

impl WorkspaceFile {
    /// Opens the file `path`, whose last part is its name; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// It, or a folder on the way, is a link, or it is no regular file; or the system refuses.
    pub(super) fn open(folder: &Path, path: &[&str]) -> io::Result<Option<Self>> {
        match Self::find(folder, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    fn find(folder: &Path, path: &[&str]) -> io::Result<Self> {
        let (name, folders) = path.split_last().ok_or(io::ErrorKind::NotFound)?;
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::open(folder, directory, Mode::empty())?;
        for inner in folders {
            folder = openat(&folder, *inner, directory | OFlags::NOFOLLOW, Mode::empty())?;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&folder, *name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self { folder, name: (*name).to_owned(), file })
    }

    /// Its text up to `max` bytes, and whether there is more. What could steer a terminal is replaced.
    ///
    /// # Errors
    ///
    /// It is not UTF-8, or cannot be read.
    pub(super) fn read(&self, max: usize) -> io::Result<(String, bool)> {
        let mut bytes = Vec::new();
        (&self.file).take((max as u64).saturating_add(1)).read_to_end(&mut bytes)?;
        let more = bytes.len() > max;
        bytes.truncate(max);
        let text = match str::from_utf8(&bytes) {
            Ok(text) => text,
            // The bound is within a character.
            Err(error) if more && error.error_len().is_none() => {
                str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return Err(io::Error::other("it is not UTF-8")),
        };
        Ok((foreign::lines(text), more))
    }

    /// Whether [`Self::delete`] is permitted.
    pub(super) fn may_be_deleted(&self) -> bool {
        accessat(&self.folder, ".", Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    }

    /// Deletes it.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(super) fn delete(self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &*self.name, AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use rustix::fs::CWD;

    use super::*;

    fn read(folder: &Path, path: &[&str]) -> io::Result<Option<(String, bool)>> {
        WorkspaceFile::open(folder, path)?.map(|file| file.read(10)).transpose()
    }

    #[test]
    fn links_pipes_sockets_and_folders_are_refused_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("workspace");
        fs::create_dir_all(folder.join("people/user-2")).unwrap();
        fs::write(folder.join("people/user-2/USER.md"), "bob's").unwrap();
        symlink("user-2", folder.join("people/user-1")).unwrap();
        symlink("people/user-2/USER.md", folder.join("SOUL.md")).unwrap();
        symlink("people", folder.join("crowd")).unwrap();
        rustix::fs::mknodat(
            CWD,
            folder.join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();

        let bobs = read(&folder, &["people", "user-2", "USER.md"]).unwrap();
        assert_eq!(bobs, Some(("bob's".to_owned(), false)));
        for refused in [
            &["people", "user-1", "USER.md"][..],
            &["crowd", "user-2", "USER.md"],
            &["SOUL.md"],
            &["pipe"],
            &["socket"],
            &["people"],
        ] {
            assert!(read(&folder, refused).is_err(), "{refused:?}");
        }
        assert_eq!(read(&folder, &["AGENTS.md"]).unwrap(), None);
        assert_eq!(read(&folder, &["people", "user-3", "USER.md"]).unwrap(), None);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_whatever_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("SOUL.md")).unwrap();
        fs::write(dir.path().join("SOUL.md"), "가나다라").unwrap();
        // The rest is a hole: no disk is used.
        file.set_len(1 << 30).unwrap();

        // Ten bytes are three characters and a part of the fourth.
        assert_eq!(read(dir.path(), &["SOUL.md"]).unwrap(), Some(("가나다".to_owned(), true)));
    }

    #[test]
    fn control_characters_are_replaced_and_other_encodings_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a\u{1b}[2J\n\tb").unwrap();
        fs::write(dir.path().join("b"), b"caf\xe9").unwrap();

        let text = "a\u{fffd}[2J\n\tb".to_owned();
        assert_eq!(read(dir.path(), &["a"]).unwrap(), Some((text, false)));
        assert!(read(dir.path(), &["b"]).is_err());
    }

    #[test]
    fn the_file_that_was_read_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("people")).unwrap();
        fs::write(dir.path().join("people/a"), "a").unwrap();

        let file = WorkspaceFile::open(dir.path(), &["people", "a"]).unwrap().unwrap();
        file.delete().unwrap();

        assert!(!dir.path().join("people/a").exists());
    }
}
