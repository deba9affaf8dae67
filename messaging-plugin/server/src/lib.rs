//! telmeet, the relay of sealed chat (RFC 9458): it forwards sealed requests and replies, and can read neither.
//!
//! Rooms and messages come later. The agent publishes its socket as mesh port 80 of `chat.<network>`. For each request
//! it opens one connection to the gateway's `plugin/http.sock`, repeats the identity header that it received, and
//! streams in both directions without buffering. It stores nothing and logs no request.
//!
//! Opening, sealing, verifying and retrying are the client's work.
//!
//! Functions of the homeserver fail with [`error::Error`], whose variants say why; their docs name what a caller handles.
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]
#![allow(clippy::missing_errors_doc, reason = "documented once, above")]

pub mod api;
pub mod error;
pub mod events;
pub mod homeserver;
pub mod keys;
pub mod matrix;
pub mod media;
pub mod personal;
pub mod random;
mod relay;
pub mod rooms;
pub mod session;
pub mod sign_in;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod vault;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chassis::{
    settings::{self, SettingsError},
    signal::Termination,
    unix::{Access, BindError, Socket},
};
use mesh_listener::{Guard, Limits, Server};
use telmeet_api::settings::{FILE, Settings};

use relay::Relay;
pub use relay::router;

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
}

/// Runs telmeet below `root` until it is asked to stop.
///
/// # Errors
///
/// See [`Error`].
pub async fn run(root: &Path, config: Option<PathBuf>) -> Result<(), Error> {
    chassis::root::check(root)?;
    let config = load(root, config.as_deref())?;
    let socket = Socket::bind(&root.join(&config.socket), Access::Group)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    tracing::info!(socket = %config.socket.display(), network = config.network, "telmeet is ready");
    let router = router(Arc::new(Relay::new(&config, root)));
    server(&config).serve(socket, router, termination.asked()).await;
    tracing::info!("stopped");
    Ok(())
}

fn load(root: &Path, named: Option<&Path>) -> Result<Settings, SettingsError> {
    settings::load(named, &root.join(FILE), Ok)
}

/// How connections are taken.
fn server(config: &Settings) -> Server {
    Server {
        caller_uid: config.agent_uid,
        local: mesh_listener::health_only,
        guard: Guard::new(config.hosts()),
        refused: |path, refusal| relay::last(mesh_listener::problem(path, refusal)),
        limits: Limits {
            connections: config.connections,
            per_node: config.connections_per_node,
            ..Limits::default()
        },
    }
}

#[cfg(test)]
mod tests;
