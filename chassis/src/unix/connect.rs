//! Connecting to a UNIX socket without following links, and only if the expected user listens.
//!
//! A socket's folder belongs to the service that listens, which may be compromised: it could replace its socket by a link to
//! another socket. So:
//!
//! * No part of the path below the root may be a link. The root itself was checked at the start.
//! * The listener's uid (`SO_PEERCRED`, unix(7)) must be that of the settings or of the service table; if neither names one,
//!   the owner of the socket's folder.
//! * Nothing is sent before this check, and the checked file is connected to, even if the path changes meanwhile.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::net,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use messages::{Message, message};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use tokio::net::UnixStream;

/// The path of a socket, and the expected listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    root: PathBuf,
    /// Below the root.
    path: PathBuf,
    uid: Option<u32>,
}

/// The connection failed. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum ConnectError {
    /// There is no socket, nobody listens, or this process may not connect.
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The path is or contains a link, or is not a socket.
    NoSocket(PathBuf),
    /// Another user listens.
    Uid {
        /// The socket.
        path: PathBuf,
        /// The listener.
        found: u32,
        /// The expected listener.
        expected: u32,
    },
}

impl ConnectError {
    /// What is wrong, and what to do.
    fn message(&self) -> Message {
        match self {
            Self::Unreachable { path, .. } => message!("socket-unreachable", path = path.display()),
            Self::NoSocket(path) => message!("socket-is-a-link", path = path.display()),
            Self::Uid { path, found, expected } => {
                message!("socket-of-another", path = path.display(), found, expected)
            }
        }
    }
}

impl ConnectError {
    /// The system's error kind; `Other` if the check failed.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Unreachable { source, .. } => source.kind(),
            Self::NoSocket(_) | Self::Uid { .. } => io::ErrorKind::Other,
        }
    }

    /// The failed check in an I/O error, if there is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// System errors keep their kind; failed checks become the inner error of kind `Other`.
impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unreachable { source, .. } => source,
            ConnectError::NoSocket(_) | ConnectError::Uid { .. } => Self::other(error),
        }
    }
}

/// A socket with a checked listener, for libraries that connect by path.
#[derive(Debug)]
pub struct VerifiedSocket(OwnedFd);

impl VerifiedSocket {
    /// A path of this socket, valid in this process while this value lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        itself(&self.0)
    }
}

impl Connector {
    /// A socket at `path`, below `root` or absolute; its folder's owner is expected to listen.
    #[must_use]
    pub fn new(root: &Path, path: &Path) -> Self {
        let top = Path::new("/");
        let (root, path) = match (path.strip_prefix(root), path.strip_prefix(top)) {
            (Ok(below), _) => (root, below),
            (Err(_), Ok(below)) => (top, below),
            (Err(_), Err(_)) => (root, path),
        };
        Self { root: root.to_owned(), path: path.to_owned(), uid: None }
    }

    /// Sets the expected listener; `None` for the folder's owner.
    #[must_use]
    pub fn listener(self, uid: impl Into<Option<u32>>) -> Self {
        Self { uid: uid.into(), ..self }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.path)
    }

    /// Device and inode of the socket, which differ once it is replaced; `None` if there is none.
    #[must_use]
    pub fn file(&self) -> Option<(u64, u64)> {
        let (_, meta) = self.find().ok()?;
        Some((meta.st_dev, meta.st_ino))
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn connect(&self) -> Result<UnixStream, ConnectError> {
        Ok(self.open().await?.0)
    }

    /// Connects once to check the listener, for a library that connects by path.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn checked(&self) -> Result<VerifiedSocket, ConnectError> {
        Ok(VerifiedSocket(self.open().await?.1))
    }

    /// Connects on this thread. `patience` limits connecting and each write.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_blocking(&self, patience: Duration) -> Result<net::UnixStream, ConnectError> {
        let (socket, expected) = self.expect()?;
        let stream = connect_within(&socket, patience).map_err(|errno| self.away(errno))?;
        self.check(&stream, expected)?;
        Ok(stream.into())
    }

    async fn open(&self) -> Result<(UnixStream, OwnedFd), ConnectError> {
        let (socket, expected) = self.expect()?;
        #[allow(clippy::disallowed_methods, reason = "this is the replacement")]
        let stream = UnixStream::connect(itself(&socket)).await;
        let stream = stream.map_err(|source| self.away(source))?;
        self.check(&stream, expected)?;
        Ok((stream, socket))
    }

    /// Opens the socket, and returns the expected listener.
    fn expect(&self) -> Result<(OwnedFd, u32), ConnectError> {
        let folder = self.folder()?;
        let (socket, _) = self.find_in(&folder)?;
        let expected = match self.uid {
            Some(uid) => uid,
            None => fstat(&folder).map_err(|errno| self.away(errno))?.st_uid,
        };
        Ok((socket, expected))
    }

    fn find(&self) -> Result<(OwnedFd, Stat), ConnectError> {
        self.find_in(&self.folder()?)
    }

    fn find_in(&self, folder: &OwnedFd) -> Result<(OwnedFd, Stat), ConnectError> {
        let name = self.path.file_name().ok_or_else(|| ConnectError::NoSocket(self.path()))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let socket = openat(folder, name, flags, Mode::empty());
        let socket = socket.map_err(|errno| self.away(errno))?;
        let meta = fstat(&socket).map_err(|errno| self.away(errno))?;
        if FileType::from_raw_mode(meta.st_mode) != FileType::Socket {
            return Err(ConnectError::NoSocket(self.path()));
        }
        Ok((socket, meta))
    }

    /// Opens the socket's folder, one part of the path after the other: a unit with `RestrictSUIDSGID=` has no `openat2`.
    fn folder(&self) -> Result<OwnedFd, ConnectError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &self.root, flags, Mode::empty());
        let mut folder = root.map_err(|errno| self.away(errno))?;
        for part in self.path.parent().into_iter().flat_map(Path::components) {
            let no_link = flags | OFlags::NOFOLLOW;
            let next = openat(&folder, part.as_os_str(), no_link, Mode::empty());
            folder = next.map_err(|errno| match errno {
                // What a link gives with these flags (open(2)).
                Errno::NOTDIR => ConnectError::NoSocket(self.path()),
                errno => self.away(errno),
            })?;
        }
        Ok(folder)
    }

    fn check(&self, stream: impl AsFd, expected: u32) -> Result<(), ConnectError> {
        // rustix's function fails if the listener has no pid in this namespace.
        let found = getsockopt(&stream, PeerCredentials);
        let found = found.map_err(|errno| self.away(io::Error::from(errno)))?.uid();
        if found == expected {
            return Ok(());
        }
        Err(ConnectError::Uid { path: self.path(), found, expected })
    }

    fn away(&self, source: impl Into<io::Error>) -> ConnectError {
        ConnectError::Unreachable { path: self.path(), source: source.into() }
    }
}

/// A path of an open file, valid in this process.
fn itself(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn connect_within(socket: &OwnedFd, patience: Duration) -> Result<OwnedFd, Errno> {
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Set before connecting, which waits if nobody accepts.
    set_socket_timeout(&stream, Timeout::Send, Some(patience))?;
    connect(&stream, &SocketAddrUnix::new(itself(socket))?)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
