//! Runs the engine's daemon.

use std::time::Duration;

use chassis::{
    accept::Connections,
    http::Http,
    notify,
    signal::Termination,
    unix::{Access, Socket},
};
use tokio::time::timeout;

use crate::{Error, Options, crash, engine::Engine, http};

/// How long connections and the engine may take to stop.
const GRACE: Duration = Duration::from_secs(4);
/// Most connections: more than any useful queue of requests.
const CONNECTIONS: usize = 256;
/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);

/// Why the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A signal asked for it.
    Asked,
    /// It had loaded the model for a request (`--load`), and nobody asks any more.
    Idle,
}

/// Serves until SIGTERM or SIGINT, until something fails, or until a model that was loaded for a request is no longer needed.
///
/// The socket is bound at once, and answers 503 until the model is loaded. Replies in progress are cut when it stops.
///
/// # Errors
///
/// See [`Error`]: the model cannot be used, the socket cannot be bound, or the engine stopped.
pub async fn run(options: Options) -> Result<Ended, Error> {
    chassis::root::check(&options.root)?;
    let failed = || Error::Failed { path: options.root.join(&options.model) };
    crash::install(&failed());
    let socket = Socket::bind(&options.root.join(&options.socket), Access::Group)?;
    let (engine, mut end) = Engine::start(&options)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    notify::ready();

    let (mut result, mut is_asked) = (None, false);
    let stop = async {
        tokio::select! {
            ended = &mut end => result = Some(ended.unwrap_or_else(|_| Err(failed()))),
            () = termination.asked() => is_asked = true,
        }
        engine.stop();
    };
    let router = http::router(engine.clone());
    let connect =
        |stream, _uid, stopping| Some(Http::new(HEAD).route(stream, router.clone(), (), stopping));
    // Replies that are still in progress after this time are cut.
    let connections = Connections::new("connections", CONNECTIONS).drain(GRACE / 2);
    connections.serve(socket, stop, connect).await;
    // If the engine is still computing after this time, the process ends anyway.
    let result = match result {
        Some(result) => result,
        None => timeout(GRACE / 2, end).await.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(())),
    };
    result.map(|()| if is_asked { Ended::Asked } else { Ended::Idle })
}
