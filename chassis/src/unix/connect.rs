//! Connecting to a UNIX socket: it is found without following links, and used only if the right user listens there.
//!
//! The folder of a socket belongs to the service that listens, which may be a container that somebody took over: it can
//! put a link to any other socket in the place of its own, or hand the place to another process. Whoever listens is
//! told secrets and is believed. So:
//!
//! * No part of the path below the root is a link. The root itself was checked when the program started.
//! * The kernel says who listens (`SO_PEERCRED`, unix(7)). That must be the uid of the settings or of the service table;
//!   where neither names one, the owner of the socket's folder, who alone can put a socket there.
//! * Nothing is sent before that is known, and what was looked at is what is connected to, whatever has the name by then.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::net,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use tokio::net::UnixStream;

/// How a socket is connected to: where it is, and who listens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    root: PathBuf,
    /// Below the root.
    path: PathBuf,
    uid: Option<u32>,
}

/// A socket is not connected to. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is there, nobody listens, or this process may not connect.
    #[error("{} cannot be connected to", .path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else is in its place.
    #[error(
        "{} is a link or no socket, or a folder on the way to it is a link: remove what is there and start the \
         service again, or write the path without links in the settings",
        .0.display()
    )]
    NoSocket(PathBuf),
    /// Somebody else listens.
    #[error(
        "uid {found} listens on {}, and uid {expected} should: stop what listens; if it is right, correct the uid in \
         the settings, or else the owner of the folder",
        .path.display()
    )]
    Uid {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        found: u32,
        /// Who should.
        expected: u32,
    },
}

impl ConnectError {
    /// What the system said; of what is found in place of the right listener it is `Other`.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Unreachable { source, .. } => source.kind(),
            Self::NoSocket(_) | Self::Uid { .. } => io::ErrorKind::Other,
        }
    }

    /// What was found in place of the right listener, if that is what this error says.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// An error of the system keeps its kind; the others are the inner error of one of kind `Other`.
impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unreachable { source, .. } => source,
            ConnectError::NoSocket(_) | ConnectError::Uid { .. } => Self::other(error),
        }
    }
}

/// A socket whose listener was checked, for libraries that connect by themselves.
#[derive(Debug)]
pub struct VerifiedSocket(OwnedFd);

impl VerifiedSocket {
    /// A path that leads to this very socket for as long as this value lives, in this process alone.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        itself(&self.0)
    }
}

impl Connector {
    /// A socket at `path`, which is below `root`, or an absolute path elsewhere. Its folder's owner listens there.
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

    /// The same socket where this uid listens; with `None` the folder's owner.
    #[must_use]
    pub fn listener(self, uid: impl Into<Option<u32>>) -> Self {
        Self { uid: uid.into(), ..self }
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.path)
    }

    /// Device and number of the socket that is there now; `None` if none is. Another one in its place has others.
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

    /// Connects once to see who listens, and keeps the socket for a library that connects by a path.
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

    /// Connects on this thread, which waits for so long at most where nobody accepts. Writing has that patience, too.
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
        #[allow(clippy::disallowed_methods, reason = "this is what stands in its place")]
        let stream = UnixStream::connect(itself(&socket)).await;
        let stream = stream.map_err(|source| self.away(source))?;
        self.check(&stream, expected)?;
        Ok((stream, socket))
    }

    /// The socket, and who should listen there.
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

    /// The folder that the socket is in.
    fn folder(&self) -> Result<OwnedFd, ConnectError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = self.path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        let root = openat(CWD, &self.root, flags, Mode::empty());
        let root = root.map_err(|errno| self.away(errno))?;
        let no_links = ResolveFlags::NO_SYMLINKS;
        openat2(root, above, flags, Mode::empty(), no_links).map_err(|errno| match errno {
            Errno::LOOP => ConnectError::NoSocket(self.path()),
            errno => self.away(errno),
        })
    }

    fn check(&self, stream: impl AsFd, expected: u32) -> Result<(), ConnectError> {
        // Not rustix's: it fails where the listener is in a container whose processes have no number here.
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

/// The path of an open file, whatever has its name by now.
fn itself(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn connect_within(socket: &OwnedFd, patience: Duration) -> Result<OwnedFd, Errno> {
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before it connects: where nobody accepts that waits, too.
    set_socket_timeout(&stream, Timeout::Send, Some(patience))?;
    connect(&stream, &SocketAddrUnix::new(itself(socket))?)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
