//! Files and folders that a service uses, beside its links.

/// What a service may do with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// As for the folder above, which is listed too.
    Inherited,
}

/// A directory below the root, as it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Path below the root.
    pub path: &'static str,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its mode.
    pub mode: u32,
}

impl Directory {
    /// A directory with this path, owner, group and mode.
    #[must_use]
    pub const fn new(path: &'static str, uid: u32, gid: u32, mode: u32) -> Self {
        Self { path, uid, gid, mode }
    }
}

/// A file or folder that a service uses. A container sees it at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Path below the root on the host, and below `/` inside a container.
    pub path: &'static str,
    /// What the service may do with it.
    pub access: Access,
    /// The directory that is made for this service; `None` if another row or the administrator makes it.
    pub directory: Option<Directory>,
    /// Most files and folders of it in a backup; 0 if no backup holds it.
    pub saved_files: usize,
}

impl Mount {
    /// The service reads this.
    #[must_use]
    pub const fn read(path: &'static str) -> Self {
        Self { path, access: Access::Read, directory: None, saved_files: 0 }
    }

    /// The service writes there.
    #[must_use]
    pub const fn write(path: &'static str) -> Self {
        Self { access: Access::Write, ..Self::read(path) }
    }

    /// A folder inside one that is listed before.
    #[must_use]
    pub const fn inside(path: &'static str) -> Self {
        Self { access: Access::Inherited, ..Self::read(path) }
    }

    /// The directory is made with this owner, group and mode.
    #[must_use]
    pub const fn made(self, uid: u32, gid: u32, mode: u32) -> Self {
        Self { directory: Some(Directory::new(self.path, uid, gid, mode)), ..self }
    }

    /// A backup contains it, with at most so many files and folders. The sum over all mounts is the limit of an archive.
    #[must_use]
    pub const fn saved(self, files: usize) -> Self {
        Self { saved_files: files, ..self }
    }

    /// Whether the service may write there.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.access == Access::Write
    }
}
