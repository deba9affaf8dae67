//! Binding a service's UNIX socket, and the signal that ends a service.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
};

/// Mode of a link's directory: the caller's group may enter, and what is made inside is of it.
const DIRECTORY_MODE: u32 = 0o2750;
/// Mode of a link's socket.
const SOCKET_MODE: u32 = 0o660;

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something already answers there.
    #[error(
        "another process already serves {}: stop it, or give this instance another --root",
        .0.display()
    )]
    Busy(PathBuf),
    /// The path is taken by something that is not a socket.
    #[error("{} is not a socket: move it away", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {}: check who owns its directory", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Listens on a UNIX socket at `path`, mode 0660.
///
/// Makes the directory if it is missing (mode 2750) and removes the socket that an earlier
/// process left behind.
///
/// # Errors
///
/// [`BindError::Busy`] if a process answers there, [`BindError::NotASocket`] if the path is
/// something else, [`BindError::Io`] otherwise. Nothing is removed in the first two cases.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        make_directory(parent).map_err(failed)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(BindError::Busy(path.to_owned()));
        }
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}

/// Makes a link's directory; those above it are everyone's to pass through.
fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    fs::DirBuilder::new().mode(0o700).create(path)?;
    // mkdir(2) does not take the set-group-id bit.
    fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))
}

/// Completes when the process is asked to stop (SIGTERM or SIGINT).
///
/// # Errors
///
/// Fails if the signals cannot be watched.
pub async fn terminated() -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
