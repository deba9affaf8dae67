//! `maru-agent restore`: undoes what an agent that was killed left in this machine.

use std::{env, io, path::Path};

use services::Instance;

use crate::{
    config::Paths,
    dns::{helper::part::take_charge, system::Undo},
    firewall::{self, FirewallError},
    kill_switch,
    link::LinkError,
    routing,
    start::rights,
};

/// Something is left behind.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not root.
    #[error("only root can undo what an agent left: run this again with `sudo`")]
    NotRoot,
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// Another agent, or its helper, runs.
    #[error(
        "an agent is running, which undoes everything when it stops: stop it, then run this again"
    )]
    Running(#[source] io::Error),
    /// The resolver.
    #[error("cannot restore this machine's resolver")]
    Resolver(#[source] io::Error),
    /// The firewall's table.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// Rules and routes.
    #[error(transparent)]
    Routing(#[from] LinkError),
    /// The asynchronous runtime.
    #[error("cannot restore the routes")]
    Runtime(#[source] io::Error),
}

/// How the service ended, in what systemd runs after it (systemd.exec(5)).
const SERVICE_RESULT: &str = "SERVICE_RESULT";

/// Removes the resolver's entry, rules, routes, the interface of WireGuard devices and the nftables table of the instance at `root`, if its agent has ended. Addresses
/// end with the interface, and that with the agent. Repeating it is safe.
///
/// By systemd, after the agent, the table stays while the settings name an exit node and the node is not paused: nothing may leave
/// beside it until root runs this. After a crash it stays in any case until the next start, a second later.
///
/// `config` is another settings file than `etc/maru/agent.toml` below the root.
///
/// # Errors
///
/// See [`RestoreError`]: the first one; each part is undone even if another cannot be.
pub fn restore(root: &Path, config: Option<&Path>) -> Result<(), RestoreError> {
    if !rights::is_root() {
        return Err(RestoreError::NotRoot);
    }
    chassis::root::check(root)?;
    let paths = Paths::new(root);
    // Held to the end: no agent starts meanwhile.
    let _charge = take_charge(&paths).map_err(RestoreError::Running)?;
    let resolver = Undo::of(&paths).all().map_err(RestoreError::Resolver);
    let instance = Instance::of(root);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let cleared = runtime
        .map_err(RestoreError::Runtime)
        .and_then(|runtime| Ok(runtime.block_on(routing::clear(&instance))?));
    let stays = env::var(SERVICE_RESULT).is_ok_and(|result| {
        // A stop that takes too long ends as a timeout.
        let starts_again = !["success", "timeout"].contains(&result.as_str());
        starts_again || kill_switch::is_wanted(root, config)
    });
    let removed = if stays { Ok(()) } else { firewall::remove(&instance.table()) };
    resolver.and(cleared).and(removed.map_err(RestoreError::Firewall))
}
