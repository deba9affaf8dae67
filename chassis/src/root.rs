//! Checks that the root folder of an instance (`--root`) is safe to use.
//!
//! A user who may write a folder on the path could replace the root, with all keys, settings and sockets. So each folder of
//! the path, the root included, must belong to root, to the user of this program, or to the user that started it with sudo.
//! Nobody else may have write permission, except root's own group, and everybody if the sticky bit is set (`/tmp`). Links
//! are followed as the kernel does, and their owners are checked, too. `/` itself is not checked.
//!
//! A folder that this program's user cannot enter is an error, too: a program that changes its user checks again.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use messages::{Message, message};

/// Most links, as in the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The variable in which sudo names its caller.
const SUDO_UID: &str = "SUDO_UID";

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a root is not used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum UnsafeRoot {
    /// A folder or link belongs to another user.
    Owner {
        /// The root.
        root: PathBuf,
        /// The folder or link.
        at: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others may write a folder.
    Writable {
        /// The root.
        root: PathBuf,
        /// The folder.
        at: PathBuf,
        /// The group that may write it; `None` if everybody may.
        group: Option<u32>,
        /// The argument for `chmod`.
        mode: &'static str,
    },
    /// A part of the path is not a folder.
    NotAFolder {
        /// The root.
        root: PathBuf,
        /// The path of it.
        at: PathBuf,
    },
    /// This program's user cannot enter a folder.
    Closed {
        /// The root.
        root: PathBuf,
        /// The folder.
        at: PathBuf,
        /// This program's user.
        uid: u32,
    },
    /// A part of the path cannot be read.
    Unknown {
        /// The root.
        root: PathBuf,
        /// The path of it.
        at: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl UnsafeRoot {
    /// The folder or link that is the reason.
    #[must_use]
    pub fn at(&self) -> &Path {
        match self {
            Self::Owner { at, .. }
            | Self::Writable { at, .. }
            | Self::NotAFolder { at, .. }
            | Self::Closed { at, .. }
            | Self::Unknown { at, .. } => at,
        }
    }

    /// What is wrong, and what to do.
    fn message(&self) -> Message {
        match self {
            Self::Owner { root, at, uid } => {
                message!("root-of-another", root = root.display(), at = at.display(), uid)
            }
            Self::Writable { root, at, group, mode } => {
                let (root, at) = (root.display(), at.display());
                match group {
                    Some(group) => message!("root-writable-by-group", root, at, group, mode),
                    None => message!("root-writable", root, at, mode),
                }
            }
            Self::NotAFolder { root, at } => {
                message!("root-not-a-folder", root = root.display(), at = at.display())
            }
            Self::Closed { root, at, uid } => {
                message!("root-closed", root = root.display(), at = at.display(), uid)
            }
            Self::Unknown { root, at, .. } => {
                message!("root-unreadable", root = root.display(), at = at.display())
            }
        }
    }
}

/// Checks the path to `root`, as far as it exists.
///
/// # Errors
///
/// Another user could replace a folder of the path, or this thread's user cannot enter one.
pub fn check(root: &Path) -> Result<(), UnsafeRoot> {
    let sudo = std::env::var(SUDO_UID).ok().and_then(|uid| uid.parse().ok());
    Walk::new(root, [Some(0), Some(rustix::process::geteuid().as_raw()), sudo]).run()
}

/// The same for a folder that root alone uses: whoever ran `sudo` is not trusted with it either, because a timer will ask for
/// it next, without `sudo`.
///
/// # Errors
///
/// As [`check`].
pub fn check_for_root_alone(folder: &Path) -> Result<(), UnsafeRoot> {
    Walk::new(folder, [Some(0), None, None]).run()
}

/// The way from `/` to a root, a name at a time.
struct Walk<'a> {
    root: &'a Path,
    trusted: [Option<u32>; 3],
    /// Where it has come to: folders only, links resolved.
    here: PathBuf,
    /// Names that are still to be walked.
    rest: VecDeque<OsString>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path, trusted: [Option<u32>; 3]) -> Self {
        Self { root, trusted, here: PathBuf::from("/"), rest: VecDeque::new(), links: 0 }
    }

    fn run(mut self) -> Result<(), UnsafeRoot> {
        let absolute = std::path::absolute(self.root)
            .map_err(|source| self.unknown(self.root.to_owned(), source))?;
        self.walk_first(&absolute);
        while let Some(name) = self.rest.pop_front() {
            if name == ".." {
                self.here.pop();
            } else if !self.step(&name)? {
                return Ok(());
            }
        }
        self.look(&self.here.join(".")).map(drop)
    }

    /// Puts the names of `path` before the remaining ones.
    fn walk_first(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.rest.push_front(name.to_owned()),
                Component::ParentDir => self.rest.push_front("..".into()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        if path.is_absolute() {
            self.here = PathBuf::from("/");
        }
    }

    /// Enters `name`; `false` if it does not exist.
    fn step(&mut self, name: &OsStr) -> Result<bool, UnsafeRoot> {
        let at = self.here.join(name);
        let Some(meta) = self.look(&at)? else { return Ok(false) };
        if !self.trusted.contains(&Some(meta.uid())) {
            return Err(UnsafeRoot::Owner { root: self.root.to_owned(), at, uid: meta.uid() });
        }
        if meta.is_symlink() {
            self.links += 1;
            if self.links > LINKS_MAX {
                return Err(self.unknown(at, rustix::io::Errno::LOOP.into()));
            }
            let target = fs::read_link(&at).map_err(|source| self.unknown(at, source))?;
            self.walk_first(&target);
            return Ok(true);
        }
        if !meta.is_dir() {
            return Err(UnsafeRoot::NotAFolder { root: self.root.to_owned(), at });
        }
        self.written_by_nobody_else(&at, &meta)?;
        self.here = at;
        Ok(true)
    }

    /// Reads the metadata of a path in the current folder; `None` if it does not exist.
    fn look(&self, at: &Path) -> Result<Option<Metadata>, UnsafeRoot> {
        match fs::symlink_metadata(at) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(UnsafeRoot::Closed {
                root: self.root.to_owned(),
                at: self.here.clone(),
                uid: rustix::process::geteuid().as_raw(),
            }),
            Err(source) => Err(self.unknown(at.to_owned(), source)),
        }
    }

    fn written_by_nobody_else(&self, at: &Path, meta: &Metadata) -> Result<(), UnsafeRoot> {
        let may = |bits| meta.mode() & bits != 0;
        let group = may(GROUP_WRITES) && meta.gid() != 0;
        let others = may(OTHERS_WRITE);
        if may(STICKY) || !(group || others) {
            return Ok(());
        }
        let (group, mode) = match (group, others) {
            (true, false) => (Some(meta.gid()), "g-w"),
            (false, _) => (None, "o-w"),
            (true, true) => (None, "go-w"),
        };
        Err(UnsafeRoot::Writable { root: self.root.to_owned(), at: at.to_owned(), group, mode })
    }

    fn unknown(&self, at: PathBuf, source: io::Error) -> UnsafeRoot {
        UnsafeRoot::Unknown { root: self.root.to_owned(), at, source }
    }
}

#[cfg(test)]
mod tests;
