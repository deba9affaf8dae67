//! The admin API's socket: for root alone, not for the coordinator's own user either.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{UnixListener, UnixStream};

use crate::{app::App, limits};

/// The admin socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It could not be made.
    #[error("cannot listen on {}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another coordinator answers there.
    #[error("another coordinator runs on {}; stop it first", .0.display())]
    Busy(PathBuf),
}

/// The socket, listening.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Replaces a socket that a coordinator left behind, but none that one listens on.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io { path: path.to_owned(), source };
        if let Some(dir) = path.parent().filter(|dir| !dir.is_dir()) {
            fs::create_dir_all(dir).map_err(failed)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o2750)).map_err(failed)?;
        }
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(SocketError::Busy(path.to_owned()));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until the server stops.
    pub(crate) async fn serve(self, app: App, router: Router) {
        loop {
            let accepted = tokio::select! {
                () = app.stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_allowed(&stream, app.config.admin_uid) => {
                    let service = TowerToHyperService::new(router.clone());
                    let stop = app.stop.clone();
                    app.tasks.spawn(async move {
                        let connection = hyper::server::conn::http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(limits::HEAD_TIME)
                            .serve_connection(TokioIo::new(stream), service);
                        tokio::select! {
                            () = stop.cancelled() => {}
                            _ = connection => {}
                        }
                    });
                }
                Ok(_) => tracing::warn!("someone else than root called the admin socket"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an admin connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // Another coordinator may have started since only if this one no longer listened: it still does.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_allowed(stream: &UnixStream, admin: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == admin)
}
