//! Starts, serves, stops.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use chassis::signal::Termination;
use tokio::{net::UnixListener, sync::oneshot, time::timeout};

use crate::{Error, Options, engine::Engine, http};

/// How long connections and the engine may take to stop.
const GRACE: Duration = Duration::from_secs(4);

/// Serves until SIGTERM or SIGINT, or until something fails.
///
/// The socket is there at once, and answers 503 until the model is loaded. Replies under way are cut when it stops.
///
/// # Errors
///
/// See [`Error`]: the model cannot be used, the socket cannot be served, the engine stopped.
pub async fn run(options: Options) -> Result<(), Error> {
    chassis::root::check(&options.root)?;
    let socket = options.root.join(&options.socket);
    let listener =
        bind(&socket).map_err(|source| Error::Socket { path: socket.clone(), source })?;
    let (engine, mut end) = Engine::start(&options)?;

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, http::router(engine.clone()));
    let server = server.with_graceful_shutdown(async {
        // Dropping the sender stops it too.
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(server.into_future());
    let mut termination = Termination::watch().map_err(Error::Serve)?;

    let result = tokio::select! {
        ended = &mut end => Some(ended.unwrap_or(Err(Error::Stopped))),
        served = &mut server => return Err(Error::Serve(served.map_or_else(io::Error::other, failure))),
        () = termination.asked() => None,
    };
    engine.stop();
    drop(stop);
    // Whoever still reads a reply after this is cut.
    let _ = timeout(GRACE / 2, server).await;
    let _ = fs::remove_file(&socket);
    if let Some(result) = result {
        return result;
    }
    // If it is still computing, the process ends around it.
    timeout(GRACE / 2, end).await.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(()))
}

/// Binds the socket for its owner and group; what an earlier run left is replaced, a running server is not.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = socket.parent() {
        fs::create_dir_all(directory)?;
    }
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Err(io::Error::new(ErrorKind::AddrInUse, "another process serves there"));
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// The server ends only when told to, or by this.
fn failure(served: io::Result<()>) -> io::Error {
    served.err().unwrap_or_else(|| ErrorKind::Interrupted.into())
}
