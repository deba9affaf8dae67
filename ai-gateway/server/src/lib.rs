//! The AI gateway: the *gateway* of RFC 9458 in sealed chat, and the client of model servers.
//!
//! ```text
//! agent (mesh 18789) ─▶ gateway/http.sock ─┐                              ┌─▶ inference/llm.sock
//!                                          ├─▶ routes ▶ chat ▶ queue ▶ models
//! telmeet ────────────▶ plugin/http.sock ──┤      │                       └─▶ the next backend
//! participant ───▶ participant/http.sock ──┘      │
//!                                          sessions, workspace (per person), operator (WebSocket)
//! root ───────────────▶ metrics/http.sock ──▶ counters, apps, usage by person and day
//! ```
//!
//! People's text is never logged. In memory it is in [`arena`]; on disk are the conversations that people keep
//! ([`sessions`]), sealed. Also on disk are the gateway's identity, the epoch of its keys, the bindings of device keys, the
//! apps with the digests of their keys, and usage by person and day.
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

mod app;
pub mod apps;
pub mod arena;
mod args;
mod bodies;
mod breaker;
mod changes;
mod chat;
mod choices;
mod commands;
mod config;
mod devices;
mod error;
mod gauges;
mod identity;
mod limits;
mod memory;
mod metrics;
mod models;
pub mod openclaw;
pub mod operator;
mod queue;
mod rooms;
pub mod routes;
mod sessions;
mod starts;
mod usage;
mod workspace;

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use ai_gateway_api::{sealed::path, settings::gateway::Settings};
use chassis::{
    notify,
    signal::Termination,
    unix::{Access, BindError, Socket},
    workers::Workers,
};
use mesh_listener::{Guard, Server};
use telmeet_api::plugin;

pub use app::StartError;
pub(crate) use app::{App, now_ms};
pub use args::{Args, Job};
pub(crate) use error::Error;

/// Why the gateway stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// `gateway.toml` cannot be used.
    #[error(transparent)]
    Config(#[from] chassis::settings::SettingsError),
    /// `openclaw.json` cannot be used.
    #[error(transparent)]
    OpenClaw(#[from] openclaw::OpenClawError),
    /// Its state or a backend cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Core dumps cannot be disabled.
    #[error("cannot disable core dumps")]
    Dumps(#[source] io::Error),
    /// Threads cannot be started.
    #[error("cannot start the worker threads: set threads in gateway.toml to 1")]
    Threads(#[source] io::Error),
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
}

/// Runs the gateway below `root` until a signal stops it, on the current runtime and the configured number of threads.
///
/// # Errors
///
/// See [`RunError`].
pub async fn run(root: &Path, config: Option<PathBuf>) -> Result<(), RunError> {
    chassis::root::check(root)?;
    chassis::process::forbid_dumps().map_err(|error| RunError::Dumps(error.into()))?;
    let config = config::load(root, config.as_deref())?;
    match arena::init(config.limits.locked_bytes) {
        Ok(bytes) => tracing::info!(bytes, "memory for keys and prompts is locked"),
        Err(error) => tracing::warn!(%error, "memory for keys and prompts is not locked"),
    }
    let openclaw = openclaw::OpenClaw::load(&root.join(&config.openclaw))?;
    for warning in &openclaw.warnings {
        tracing::warn!("openclaw.json: {warning}");
    }
    let app = Arc::new(App::new(&config, &openclaw, root)?);
    let bind = |path: &Path| Socket::bind(&root.join(path), Access::Group);
    let socket = bind(&config.socket)?;
    let plugin_socket = bind(&config.plugin_socket)?;
    let participant_socket = bind(&config.participant_socket)?;
    let metrics_socket = bind(&config.metrics_socket)?;
    let threads = NonZeroUsize::new(config.threads.into()).unwrap_or_else(Workers::usual);
    let workers = Arc::new(Workers::start(threads).map_err(RunError::Threads)?);
    let mut termination = Termination::watch().map_err(RunError::Signals)?;
    notify::ready_with(&workers);
    tracing::info!(identity = %app.identity(), primary = %openclaw.primary, "the gateway is ready");

    let (stop, _) = tokio::sync::watch::channel(());
    let stopping = || {
        let mut stop = stop.subscribe();
        async move { drop(stop.changed().await) }
    };
    let (agent, plugin) = (agent_server(&config), plugin_server(&config));
    let served = async {
        tokio::join!(
            agent.serve_on(&workers, socket, routes::agent_listener(&app), stopping()),
            plugin.serve_on(&workers, plugin_socket, routes::plugin_listener(&app), stopping()),
            routes::rooms::serve(participant_socket, config.participant_uid, &app, stopping()),
            routes::metrics::serve(metrics_socket, &app, stopping()),
        )
    };
    let stopped = async {
        termination.asked().await;
        let _ = stop.send(());
        std::future::pending().await
    };
    tokio::select! {
        _ = served => {}
        () = stopped => {}
        () = app.run_maintenance() => {}
    }
    app.usage.keep(std::time::SystemTime::now());
    app.sessions.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The database of conversations was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// `gateway.toml` cannot be used.
    #[error(transparent)]
    Config(#[from] chassis::settings::SettingsError),
    /// The file with the database's URL cannot be read.
    #[error("cannot read `conversations.database_url_file`")]
    Url(#[source] io::Error),
    /// The database cannot be copied.
    #[error(transparent)]
    Copy(#[from] store::CopyError),
}

/// Writes a consistent copy of the database of conversations, while the gateway runs or not.
///
/// # Errors
///
/// See [`CopyError`].
pub async fn copy_database(
    root: &Path,
    config: Option<PathBuf>,
    out: &mut File,
) -> Result<(), CopyError> {
    chassis::root::check(root)?;
    let config = config::load(root, config.as_deref())?;
    let database = sessions::Sessions::new(&config, root).database().map_err(CopyError::Url)?;
    Ok(store::copy(&database, out).await?)
}

/// The server for the agent's connections.
fn agent_server(config: &Settings) -> Server {
    let names = config.names.iter().cloned().chain([config.chat_host()]);
    Server {
        caller_uid: config.agent_uid,
        local: routes::is_for_apps,
        guard: Guard::new(names)
            .close_to_browsers(path::DEVICES)
            .list_origins(config.origins.iter().cloned(), &routes::FOR_PAGES),
        refused: routes::refused,
        limits: connections(config),
    }
}

/// The server for telmeet's connections.
fn plugin_server(config: &Settings) -> Server {
    Server {
        caller_uid: config.telmeet_uid,
        local: mesh_listener::health_only,
        guard: Guard::new([plugin::HOST]),
        refused: mesh_listener::problem,
        limits: connections(config),
    }
}

fn connections(config: &Settings) -> mesh_listener::Limits {
    mesh_listener::Limits {
        connections: config.limits.connections,
        per_node: config.limits.connections_per_node,
        ..mesh_listener::Limits::default()
    }
}

#[cfg(test)]
mod tests;
