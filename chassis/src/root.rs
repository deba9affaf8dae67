//! Whether the folder below which an instance lives (`--root`) is safe to use.
//!
//! Whoever may write one of the folders on the way to it can put another in its place, and with that all keys,
//! settings and sockets. So each of them, the root itself included, belongs to the superuser, to who runs this
//! program, or to who started it with sudo; and nobody else may write it, unless its sticky bit keeps others from
//! renaming what is in it (`/tmp`). The superuser's own group counts as the superuser. Links are followed as the
//! kernel does: the folder of each link is checked, the link's owner, and the way to where it points.
//!
//! A folder that the user of this program cannot enter is named, too: who starts as root and becomes another user looks
//! once more as that user.
//!
//! `/` itself has no way to it, and is what every program of the machine trusts: it is not looked at.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Links that are followed, as the kernel's own limit (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The variable in which sudo says who asked for the superuser.
const SUDO_UID: &str = "SUDO_UID";

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a root is not used. Nothing was made or changed.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeRoot {
    /// A folder or link belongs to somebody else.
    #[error(
        "--root {} is not safe: {} belongs to uid {uid}, who could put other files in its place; choose another \
         folder, or hand it to root with `sudo chown -h root {}`",
        .root.display(), .at.display(), .at.display()
    )]
    Owner {
        /// The root.
        root: PathBuf,
        /// What belongs to somebody else.
        at: PathBuf,
        /// To whom.
        uid: u32,
    },
    /// Others may write a folder.
    #[error(
        "--root {} is not safe: {whom} may write {}, and so put other files in its place; choose another folder, \
         or forbid it with `sudo chmod {mode} {}`",
        .root.display(), .at.display(), .at.display()
    )]
    Writable {
        /// The root.
        root: PathBuf,
        /// The folder.
        at: PathBuf,
        /// Who may write it.
        whom: String,
        /// What to give `chmod`.
        mode: &'static str,
    },
    /// Something on the way is no folder.
    #[error("--root {} cannot be used: {} is not a folder; choose another", .root.display(), .at.display())]
    NotAFolder {
        /// The root.
        root: PathBuf,
        /// What is no folder.
        at: PathBuf,
    },
    /// A folder keeps this program's user out.
    #[error(
        "--root {} cannot be used: uid {uid}, as which this program runs, cannot enter {}; choose another folder, or \
         let every user pass with `sudo chmod o+x {}`",
        .root.display(), .at.display(), .at.display()
    )]
    Closed {
        /// The root.
        root: PathBuf,
        /// The folder.
        at: PathBuf,
        /// Who cannot enter it.
        uid: u32,
    },
    /// It cannot be looked at.
    #[error("--root {} cannot be used: {} cannot be looked at; choose another folder", .root.display(), .at.display())]
    Unknown {
        /// The root.
        root: PathBuf,
        /// What cannot be looked at.
        at: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Checks the way to `root`, as far as it is there; what is not there yet is made by whoever goes on.
///
/// # Errors
///
/// Fails if somebody else could put another folder in the place of `root`, or if this thread's user cannot follow the way
/// and enter it.
pub fn check(root: &Path) -> Result<(), UnsafeRoot> {
    let sudo = std::env::var(SUDO_UID).ok().and_then(|uid| uid.parse().ok());
    Walk::new(root, [Some(0), Some(rustix::process::geteuid().as_raw()), sudo]).run()
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

    /// Puts the names of `path` before what is still to be walked.
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

    /// Takes one step into `name`; `false` if nothing is there.
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

    /// What is at a path in the folder where the way has come to; `None` if nothing is.
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
        let (whom, mode) = match (group, others) {
            (true, false) => (format!("group {}", meta.gid()), "g-w"),
            (false, _) => ("everybody".to_owned(), "o-w"),
            (true, true) => ("everybody".to_owned(), "go-w"),
        };
        Err(UnsafeRoot::Writable { root: self.root.to_owned(), at: at.to_owned(), whom, mode })
    }

    fn unknown(&self, at: PathBuf, source: io::Error) -> UnsafeRoot {
        UnsafeRoot::Unknown { root: self.root.to_owned(), at, source }
    }
}

#[cfg(test)]
mod tests;
