//! A daemon's UNIX socket, and connecting to one ([`Connector`]).
//!
//! * The folder must belong to the daemon's user or to root, and others must not have write permission unless the sticky bit
//!   is set: they could replace the socket. Only root, when it starts a daemon by hand, may use another user's folder.
//! * Only a stale socket of this user or of root is replaced: no other file, no link, no socket of another user.
//! * Nobody can connect before the socket has its mode.
//! * At the end the socket is removed, unless another process has replaced it.
//!
//! Callers are identified by the uid that the kernel reports.

mod connect;

use std::{
    fs::{self, DirBuilder, Metadata, Permissions},
    io::{self, ErrorKind},
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net,
        },
    },
    path::{Path, PathBuf},
};

use messages::{Message, message};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    },
    process::geteuid,
};
use tokio::net::{UnixListener, UnixStream};

pub use self::connect::{ConnectError, Connector, VerifiedSocket};
use crate::accept::Listener;

/// Length of the accept queue.
const BACKLOG: i32 = 1024;

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Owner and group of the folder, whose group the socket inherits: modes 2750 and 0660.
    Group,
    /// Every local user: modes 0755 and 0666.
    Everyone,
}

impl Access {
    fn folder_mode(self) -> u32 {
        match self {
            Self::Group => 0o2750,
            Self::Everyone => 0o755,
        }
    }

    fn socket_mode(self) -> u32 {
        match self {
            Self::Group => 0o660,
            Self::Everyone => 0o666,
        }
    }
}

/// The socket cannot be created. The path is unchanged.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum BindError {
    /// Another process listens there.
    Busy(PathBuf),
    /// The path is not a socket.
    NotASocket(PathBuf),
    /// The path is another user's stale socket.
    Foreign {
        /// The socket.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others could replace the socket.
    Folder(PathBuf),
    /// The system refuses.
    Io {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl BindError {
    /// What is wrong, and what to do.
    fn message(&self) -> Message {
        match self {
            Self::Busy(path) => message!("socket-busy", path = path.display()),
            Self::NotASocket(path) => message!("socket-in-the-way", path = path.display()),
            Self::Foreign { path, uid } => {
                message!("socket-left-behind", path = path.display(), uid)
            }
            Self::Folder(path) => message!("socket-folder-unsafe", path = path.display()),
            Self::Io { path, source } if is_full(source) => {
                message!("socket-no-room", path = path.display())
            }
            Self::Io { path, .. } => message!("socket-not-made", path = path.display()),
        }
    }
}

/// Whether a disk, or somebody's part of it, has no room for a file more.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A listening socket. Dropping it removes the file, unless another process has replaced it.
#[derive(Debug)]
pub struct Socket {
    // Dropped first: while the socket is open, no other file gets its inode.
    _file: SocketFile,
    listener: UnixListener,
}

/// A file at a path.
#[derive(Debug)]
struct Inode {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The socket's file; removed when dropped.
#[derive(Debug)]
struct SocketFile(Inode);

impl Socket {
    /// Creates the socket and, if missing, its folder; folders above are passable for everyone.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn bind(path: &Path, access: Access) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        let folder = path.parent().ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?;
        make_folder(folder, access.folder_mode()).map_err(failed)?;
        check_folder(folder, path)?;
        remove_stale(path)?;

        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let socket = socket.map_err(|errno| failed(errno.into()))?;
        let address = SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
        bind(&socket, &address).map_err(|errno| failed(errno.into()))?;
        // Nobody can connect before it listens.
        let file = set_mode(path, access.socket_mode())?;
        listen(&socket, BACKLOG).map_err(|errno| failed(errno.into()))?;
        let listener = UnixListener::from_std(net::UnixListener::from(socket)).map_err(failed)?;
        Ok(Self { _file: file, listener })
    }
}

impl Listener for Socket {
    type Stream = UnixStream;
    /// The caller's uid (`SO_PEERCRED`, unix(7)).
    type Peer = u32;

    async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, uid))
    }
}

impl Inode {
    fn new(path: &Path, found: &Metadata) -> Self {
        Self { path: path.to_owned(), device: found.dev(), inode: found.ino() }
    }

    /// Removes the file, unless it was replaced. Only this user and root could replace it between check and removal.
    fn remove(&self) -> io::Result<()> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if (found.dev(), found.ino()) != (self.device, self.inode) {
            return Ok(());
        }
        fs::remove_file(&self.path)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove() {
            tracing::debug!(path = %self.0.path.display(), %error, "cannot remove the socket");
        }
    }
}

fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(above)?;
    }
    DirBuilder::new().mode(0o700).create(folder)?;
    // mkdir(2) does not take the set-group-id bit, and takes the umask away.
    fs::set_permissions(folder, Permissions::from_mode(mode))
}

/// Gives the socket that was made its mode, whatever the umask says. Not by its name: who owns the folder might have put
/// a link to something else there.
fn set_mode(path: &Path, mode: u32) -> Result<SocketFile, BindError> {
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let found = fs::File::from(found);
    let meta = found.metadata().map_err(failed)?;
    if !meta.file_type().is_socket() || meta.uid() != geteuid().as_raw() || meta.nlink() != 1 {
        return Err(BindError::Folder(path.parent().unwrap_or(path).to_owned()));
    }
    let made = SocketFile(Inode::new(path, &meta));
    let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
    fs::set_permissions(itself, Permissions::from_mode(mode)).map_err(failed)?;
    Ok(made)
}

fn check_folder(folder: &Path, socket: &Path) -> Result<(), BindError> {
    let found =
        fs::metadata(folder).map_err(|source| BindError::Io { path: socket.to_owned(), source })?;
    let may = |bits| found.mode() & bits != 0;
    // Root's own group counts as root, as it does for `--root`.
    let others = may(OTHERS_WRITE) || (may(GROUP_WRITES) && found.gid() != 0);
    let owned = is_trusted(found.uid()) || geteuid().is_root();
    if !found.is_dir() || !owned || (others && !may(STICKY)) {
        return Err(BindError::Folder(folder.to_owned()));
    }
    Ok(())
}

/// Whether it is the uid of this process or of root.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Removes the stale socket of an earlier process, if there is one.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    if is_served(path).map_err(|errno| failed(errno.into()))? {
        return Err(BindError::Busy(path.to_owned()));
    }
    if !is_trusted(found.uid()) {
        return Err(BindError::Foreign { path: path.to_owned(), uid: found.uid() });
    }
    Inode::new(path, &found).remove().map_err(failed)
}

/// Whether a process listens there. Does not block if the accept queue is full.
fn is_served(path: &Path) -> Result<bool, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let caller = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&caller, &SocketAddrUnix::new(path)?) {
        // The accept queue is full, or the socket has another type.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests;
