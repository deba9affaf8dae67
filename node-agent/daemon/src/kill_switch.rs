//! `maru-agent kill-switch`: what runs at boot, before there is a network and an agent. The agent's own start begins with the same,
//! since it may fail before there is a firewall.

use std::{fs, path::Path};

use chassis::settings::SettingsError;
use node_agent_api::settings::{FILE, Settings};
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
    #[error("only root can close the kill switch: run this again with `sudo`")]
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
/// over and leaves it closed; [`restore()`](crate::restore()) opens it. Repeating it is safe.
///
/// `config` is another settings file than `etc/maru/agent.toml` below the root.
///
/// # Errors
///
/// See [`KillSwitchError`]. It is closed for settings that cannot be used, too, if they name an exit node; after other errors nothing
/// has changed. A state that cannot be read is none: the agent says so, and does not start.
pub fn close(root: &Path, config: Option<&Path>) -> Result<(), KillSwitchError> {
    if !rights::is_root() {
        return Err(KillSwitchError::NotRoot);
    }
    chassis::root::check(root)?;
    let loaded = Config::load(root, config);
    close_for(root, config, &loaded)?;
    loaded?;
    Ok(())
}

/// Closes it by the settings that were loaded from the named file or the usual one; by the file's text if they cannot be used.
pub(crate) fn close_for(
    root: &Path,
    named: Option<&Path>,
    loaded: &Result<Config, SettingsError>,
) -> Result<(), FirewallError> {
    let Some(settings) = in_force(root, named, loaded) else { return Ok(()) };
    let instance = Instance::of(root);
    firewall::close(&instance.table(), &settings.interface(&instance), &settings)?;
    if loaded.is_err() {
        tracing::warn!(
            "nothing leaves this machine until the settings, which name an exit node, can be used and the agent starts; to end that, \
             stop the agent and run `{}`",
            Paths::new(root).restore_command()
        );
    }
    Ok(())
}

/// Whether the kill switch of the instance at `root` is to be closed, whether its agent runs or not.
pub(crate) fn is_wanted(root: &Path, named: Option<&Path>) -> bool {
    in_force(root, named, &Config::load(root, named)).is_some()
}

/// The settings if they name an exit node and the node is not paused.
fn in_force(
    root: &Path,
    named: Option<&Path>,
    loaded: &Result<Config, SettingsError>,
) -> Option<Settings> {
    let settings = match loaded {
        Ok(config) => config.settings.clone(),
        Err(_) => {
            let text = fs::read(named.unwrap_or(&root.join(FILE))).unwrap_or_default();
            of_text(&String::from_utf8_lossy(&text))
        }
    };
    (settings.exit_node.is_some() && !is_paused(root)).then_some(settings)
}

/// What a settings file that cannot be used says about an exit node. A doubt closes.
fn of_text(text: &str) -> Settings {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            line.strip_prefix(key)?.strip_prefix([' ', '\t', '=', '"', '\''])
        })
    };
    let allows_lan = value("exit_node_allow_lan_access");
    Settings {
        exit_node: value("exit_node").map(str::to_owned),
        exit_node_allow_lan_access: allows_lan
            .is_some_and(|value| value.trim_start_matches([' ', '\t', '=']).starts_with("true")),
        ..Settings::default()
    }
}

fn is_paused(root: &Path) -> bool {
    matches!(State::load(&Paths::new(root)), Ok(Some(state)) if state.paused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_name_an_exit_node_where_a_line_begins_with_it() {
        for text in [
            "exit_node = \"cabin\"\ndns = \"of\"",
            "dns = [\r\n\texit_node=\"cabin\"\r\n",
            "exit_node \"cabin\"",
            "\"exit_node\" = 1",
            "[[service]]\nexit_node = \"cabin\"",
        ] {
            assert!(of_text(text).exit_node.is_some(), "{text}");
        }
        for text in ["", "# exit_node = \"cabin\"", "exit_node_dns = []", "exit_nodes = 1"] {
            assert!(of_text(text).exit_node.is_none(), "{text}");
        }
    }

    #[test]
    fn who_lost_a_comma_and_allows_the_lan_is_not_locked_out_of_it() {
        let allows = |value: &str| {
            let text =
                format!("exit_node = \"cabin\"\nexit_node_allow_lan_access{value}\nx = [1 2]\n");
            of_text(&text).exit_node_allow_lan_access
        };
        assert!(allows(" = true") && allows("=true # SSH"));
        assert!(!allows(" = false") && !allows(" = # true") && !allows(""));
    }
}
