//! telmeet: a homeserver of the Matrix client-server API at `rooms.<network>`, and the relay of sealed chat (RFC 9458) at
//! `chat.<network>`.
//!
//! ```text
//! agent (mesh 80) ─▶ telmeet/http.sock ─▶ front ─┬─ rooms.<network> ─▶ api ▶ homeserver ▶ database, media
//!                                                └─ any other name ─▶ relay ─▶ plugin/http.sock of the gateway
//! root ────────────▶ rooms-admin/http.sock ─▶ admin ▶ homeserver
//! maru-participant ─▶ rooms/http.sock ─────────▶ api, as `@maru:<network>`
//! ```
//!
//! The relay opens one connection to the gateway for each request, repeats the identity header that it received, and streams
//! in both directions without buffering. It stores nothing and can read nothing; opening, sealing, verifying and retrying
//! are the client's work. No request is logged.
//!
//! Functions of the homeserver fail with [`error::Error`], whose variants say why; their docs name what a caller handles.
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]
#![allow(clippy::missing_errors_doc, reason = "documented once, above")]

pub mod admin;
pub mod api;
mod args;
pub mod error;
pub mod events;
mod front;
mod generation;
pub mod homeserver;
pub mod keys;
pub mod limits;
mod maintenance;
pub mod matrix;
pub mod media;
pub mod members;
mod participant;
pub mod personal;
pub mod push;
pub mod random;
mod relay;
pub mod rooms;
pub mod session;
pub mod sign_in;
mod start;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod thumbnail;
pub mod vault;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::Router;
use chassis::{
    notify, process,
    settings::{self, SettingsError},
    signal::Termination,
    state::StateError,
    unix::{Access, BindError, Socket},
};
use mesh_listener::{Guard, Limits, Server};
use store::{CopyError, LockError};
use telmeet_api::settings::{FILE, Settings};

pub use args::{Args, Job};
use members::MemberList;
use relay::Relay;
pub use relay::router;
pub use start::StartError;
use start::Started;

/// The endpoints of the socket that the agent publishes.
#[must_use]
pub fn endpoints() -> Vec<chassis::endpoint::Declaration> {
    chassis::endpoint::list(&relay::endpoints())
}

/// Why telmeet stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// Core dumps cannot be disabled.
    #[error("cannot disable core dumps")]
    Dumps(#[source] io::Error),
    /// The homeserver cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The list of people is damaged.
    #[error(transparent)]
    Members(#[from] StateError),
    /// Another telmeet took the database.
    #[error(transparent)]
    Lost(#[from] LockError),
    /// The database cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

/// Runs telmeet below `root` until it is asked to stop.
///
/// # Errors
///
/// See [`Error`].
pub async fn run(root: &Path, config: Option<PathBuf>) -> Result<(), Error> {
    chassis::root::check(root)?;
    process::forbid_dumps().map_err(|error| Error::Dumps(error.into()))?;
    let config = load(root, config.as_deref())?;
    let started = match start::start(root, &config).await {
        // A restored backup comes without the key; sealed chat does not need it.
        Err(error @ StartError::OtherKey) => {
            tracing::error!("no rooms: {error}");
            None
        }
        started => Some(started?),
    };
    let members = MemberList::open(root.join(&config.members_file))?;
    let socket = Socket::bind(&root.join(&config.socket), Access::Group)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    tracing::info!(socket = %config.socket.display(), network = config.network, "telmeet is ready");
    let relay = router(Arc::new(Relay::new(&config, root)));
    let (rooms, kept) = match started {
        Some(Started { homeserver, lock }) => {
            (api::router(Arc::clone(&homeserver)), Some((homeserver, lock)))
        }
        None => (unavailable(), None),
    };
    let admin_socket = Socket::bind(&root.join(&config.admin_socket), Access::Group)?;
    let homeserver = kept.as_ref().map(|(homeserver, _)| Arc::clone(homeserver));
    let admin = admin::serve_root(admin_socket, homeserver);
    let front = front::router(front::site(&config.rooms_host()), relay, rooms);
    let serving = server(&config).serve(socket, front, termination.asked());
    let (rooms_socket, participant_uid) = (root.join(&config.rooms_socket), config.participant_uid);
    let Some((homeserver, mut lock)) = kept else {
        notify::ready();
        tokio::select! {
            () = serving => {}
            () = admin => {}
        }
        return Ok(());
    };
    let rooms_socket = Socket::bind(&rooms_socket, Access::Group)?;
    notify::ready();
    let participant =
        participant::serve(rooms_socket, participant_uid, api::router(Arc::clone(&homeserver)));
    let served = tokio::select! {
        () = serving => Ok(()),
        () = admin => Ok(()),
        () = participant => Ok(()),
        lost = lock.lost() => Err(lost),
        never = members::follow(&homeserver, members) => match never {},
        never = maintenance::run(&homeserver) => match never {},
    };
    homeserver.close().await;
    tracing::info!("stopped");
    Ok(served?)
}

/// Writes a consistent copy of the database, while telmeet runs or not.
///
/// # Errors
///
/// See [`Error`].
pub async fn copy_database(
    root: &Path,
    config: Option<PathBuf>,
    out: &mut File,
) -> Result<(), Error> {
    chassis::root::check(root)?;
    let config = load(root, config.as_deref())?;
    Ok(store::copy(&start::database(root, &config)?, out).await?)
}

/// The homeserver without its key.
fn unavailable() -> Router {
    chassis::endpoint::router([]).fallback(async || error::Error::Unavailable)
}

fn load(root: &Path, named: Option<&Path>) -> Result<Settings, SettingsError> {
    settings::load(named, &root.join(FILE), Ok)
}

/// How connections are taken.
fn server(config: &Settings) -> Server {
    Server {
        caller_uid: config.agent_uid,
        local: mesh_listener::health_only,
        guard: Guard::new(config.hosts()).site(front::site(&config.rooms_host())),
        refused: front::refused,
        limits: Limits {
            connections: config.connections,
            per_node: config.connections_per_node,
            ..Limits::default()
        },
    }
}

#[cfg(test)]
mod tests;
