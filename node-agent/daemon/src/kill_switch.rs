//! `maru-agent kill-switch`: what runs at boot, before there is a network and an agent.

use std::path::Path;

use chassis::settings::SettingsError;
use services::Instance;

use crate::{
    config::{Config, Paths},
    firewall::{self, FirewallError},
    start::rights,
    state::State,
};

/// The kill switch is not closed.
#[derive(Debug, thiserror::Error)]
pub enum KillSwitchError {
    /// Not root.
    #[error("only root can close the kill switch: run `sudo maru-agent kill-switch`")]
    NotRoot,
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The settings.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// The firewall's table.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

/// Closes the kill switch of the instance at `root`, if its settings name an exit node and it is not paused. The agent takes it
/// over; [`restore()`](crate::restore()) opens it. Repeating it is safe.
///
/// `config` is another settings file than `etc/maru/agent.toml` below the root.
///
/// # Errors
///
/// See [`KillSwitchError`]; nothing has changed. A state that cannot be read is none: the agent says so, and does not start.
pub fn close(root: &Path, config: Option<&Path>) -> Result<(), KillSwitchError> {
    if !rights::is_root() {
        return Err(KillSwitchError::NotRoot);
    }
    chassis::root::check(root)?;
    let settings = Config::load(root, config)?.settings;
    if settings.exit_node.is_none() || is_paused(root) {
        return Ok(());
    }
    let instance = Instance::of(root);
    Ok(firewall::close(&instance.table(), &settings.interface(&instance), &settings)?)
}

fn is_paused(root: &Path) -> bool {
    matches!(State::load(&Paths::new(root)), Ok(Some(state)) if state.paused)
}
