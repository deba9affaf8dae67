//! A service's socket: found without following links, and used only if the right user listens there.
//!
//! The folder belongs to the service, which may be a container that somebody took over: it can put a link to any other
//! socket in the place of its own, or let another process listen. What the agent says first on a connection is who is
//! calling, and whoever listens is believed in turn, so both are refused.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use node_agent_api::settings::Service;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use tokio::net::UnixStream;

use crate::config::Paths;

/// Where a service listens, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    root: PathBuf,
    /// As it is configured.
    path: PathBuf,
    uid: Option<u32>,
}

/// A service is not connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Nothing is there, or nobody listens.
    #[error("nobody listens")]
    Away(#[from] io::Error),
    /// Something else is in its place.
    #[error(
        "there is a link or a file in the place of the socket: remove it, and start the service again"
    )]
    NoSocket,
    /// Somebody else listens.
    #[error(
        "uid {found} listens there and not uid {expected}: stop what listens, or name its uid in agent.toml"
    )]
    Uid {
        /// Who listens.
        found: u32,
        /// Who should.
        expected: u32,
    },
}

impl Socket {
    pub(crate) fn of(paths: &Paths, service: &Service) -> Self {
        Self { root: paths.resolve(Path::new("")), path: service.socket.clone(), uid: service.uid }
    }

    /// Connects. Nothing has been sent yet.
    pub(crate) async fn connect(&self) -> Result<UnixStream, SocketError> {
        let (socket, expected) = self.find()?;
        // The very thing that was looked at, whatever has the name by now.
        let stream = UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await?;
        let found = stream.peer_cred()?.uid();
        if found == expected { Ok(stream) } else { Err(SocketError::Uid { found, expected }) }
    }

    /// The socket, and the uid that should listen: the configured one, else the folder's owner, who alone can put a
    /// socket there.
    fn find(&self) -> Result<(OwnedFd, u32), SocketError> {
        let name = self.path.file_name().ok_or(SocketError::NoSocket)?;
        let folder = self.folder()?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let socket = openat(&folder, name, flags, Mode::empty()).map_err(io::Error::from)?;
        let meta = fstat(&socket).map_err(io::Error::from)?;
        if FileType::from_raw_mode(meta.st_mode) != FileType::Socket {
            return Err(SocketError::NoSocket);
        }
        let expected = match self.uid {
            Some(uid) => uid,
            None => fstat(&folder).map_err(io::Error::from)?.st_uid,
        };
        Ok((socket, expected))
    }

    /// The folder. Below the root no part of the path may be a link; an absolute path is the administrator's own.
    fn folder(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = self.path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        if self.path.is_absolute() {
            return Ok(openat(CWD, above, flags, Mode::empty())?);
        }
        let root = openat(CWD, &self.root, flags, Mode::empty())?;
        Ok(openat2(root, above, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?)
    }
}
