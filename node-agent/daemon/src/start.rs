//! The start, while the agent has one thread: opens what needs root, and gives up root's rights.
//!
//! Started as root it (0) closes the kill switch, (1) takes over or opens the TUN and starts the [`Helper`], (2) takes over its
//! folders, which root owned before ([`folders`]), (3) becomes its own user with two capabilities ([`rights`]). Another user
//! that has these two just runs, without the helper. Either may then write in its own folders alone ([`chassis::confine`]).

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use chassis::{
    confine::{self, Enforcement},
    settings::SettingsError,
};
use node_agent_api::settings::{Dial, Dns};
use rustix::fs::{Mode, OFlags, open};
use services::Instance;

use crate::{
    config::{Config, Paths},
    dns::helper::{Helper, HelperError, Scope},
    firewall::FirewallError,
    kill_switch,
};

pub(crate) mod folders;
pub(crate) mod rights;

use folders::FolderError;
use rights::RightsError;

/// The device that makes network interfaces.
const TUN: &str = "/dev/net/tun";
/// The TUN's name in the service manager's store of descriptors.
pub(crate) const STORED_TUN: &str = "tun";
/// What the agent writes beside its folders.
const WRITABLE: [&str; 3] = [TUN, "/proc/sys/net", "/dev/null"];

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    #[error(transparent)]
    Config(#[from] SettingsError),
    #[error(transparent)]
    KillSwitch(#[from] FirewallError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Helper(#[from] HelperError),
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("cannot confine what the agent writes")]
    Confine(#[source] io::Error),
}

/// The result of the start.
#[derive(Debug)]
pub(crate) struct Startup {
    /// The settings.
    pub(crate) config: Config,
    /// Where files lie.
    pub(crate) paths: Paths,
    /// The instance's root.
    pub(crate) root: PathBuf,
    /// Resources that need root.
    pub(crate) inherited: RootResources,
}

/// Resources that only root can open or start.
#[derive(Debug, Default)]
pub(crate) struct RootResources {
    /// `/dev/net/tun`, where others than root may not open it: what an earlier agent left with the service manager, or a new
    /// one.
    pub(crate) tun: Option<OwnedFd>,
    /// Another `/dev/net/tun`, for WireGuard devices, if the settings have them.
    pub(crate) wireguard_tun: Option<OwnedFd>,
    /// Leads programs to the agent's resolver.
    pub(crate) helper: Option<Helper>,
}

/// Loads the settings, closes the kill switch if they name an exit node, and gives up every right that the agent does not need. Call
/// it first in `main`.
///
/// On an error the process must end: it may have given up some rights. The kill switch stays on.
pub(crate) fn prepare(root: PathBuf, config: Option<PathBuf>) -> Result<Startup, StartError> {
    chassis::root::check(&root)?;
    let paths = Paths::new(&root);
    let loaded = Config::load(&root, config.as_deref());
    // First: a start that fails leaves the kill switch on, whatever the stop before it removed.
    if rights::is_root() {
        kill_switch::close_for(&root, config.as_deref(), &loaded)?;
    }
    let config = loaded?;
    let inherited = if rights::is_root() {
        from_root(&root, &paths, &config)?
    } else {
        rights::become_agent()?;
        folders::make(&paths)?;
        folders::make_dials(&paths, &config.settings.dial)?;
        RootResources::default()
    };
    let enforcement = confine_to_own(&paths, &config.settings.dial).map_err(StartError::Confine)?;
    log_limits(&config, &inherited, enforcement);
    let inherited =
        if config.settings.dns == Dns::Off { without_helper(inherited) } else { inherited };
    Ok(Startup { config, paths, root, inherited })
}

/// Opens what needs root, then gives up root's rights.
fn from_root(root: &Path, paths: &Paths, config: &Config) -> Result<RootResources, StartError> {
    let settings = &config.settings;
    let open = || File::options().read(true).write(true).open(TUN).ok().map(OwnedFd::from);
    let interface = settings.interface(&Instance::of(root));
    let tun = wireguard_device::handed_over(STORED_TUN, &interface).or_else(open);
    let wireguard_tun = settings.wireguard.and_then(|_| open());
    let scope = Scope {
        dns: settings.dns,
        interface,
        takes_all: config.routes.exit_node.is_some(),
        domains: config.dns_domains.clone(),
    };
    let helper = Helper::start(root, &scope)?;
    match give_up(root, paths, &settings.dial) {
        Ok(()) => Ok(RootResources { tun, wireguard_tun, helper: Some(helper) }),
        Err(error) => {
            helper.end();
            Err(error)
        }
    }
}

fn give_up(root: &Path, paths: &Paths, dials: &[Dial]) -> Result<(), StartError> {
    folders::take_over(paths)?;
    folders::take_over_dials(paths, dials)?;
    rights::become_agent()?;
    // Root could enter folders that the agent's user cannot.
    Ok(chassis::root::check(root)?)
}

/// Ends the helper if the settings need none: it was started to undo what a crash left under other settings.
fn without_helper(inherited: RootResources) -> RootResources {
    if let Some(helper) = inherited.helper {
        helper.end();
    }
    RootResources { helper: None, ..inherited }
}

/// Confines this process to writing in its own folders and [`WRITABLE`].
fn confine_to_own(paths: &Paths, dials: &[Dial]) -> io::Result<Enforcement> {
    let mut writable = vec![place(&paths.state_dir())?, place(&paths.api_dir())?];
    for (folder, _) in folders::dial_folders(paths, dials) {
        writable.push(place(&folder)?);
    }
    // A missing one causes an error where it is needed.
    writable.extend(WRITABLE.iter().filter_map(|path| place(Path::new(path)).ok()));
    confine::write_only(&writable)
}

fn place(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn log_limits(config: &Config, inherited: &RootResources, enforcement: Enforcement) {
    if enforcement != Enforcement::Full {
        tracing::warn!("{enforcement}; `maru doctor` says what this host lacks");
    }
    if inherited.helper.is_none() && config.settings.dns != Dns::Off {
        tracing::warn!(
            "the system's resolver is not changed, since only root may do that: start the agent as root for the network's names, or set dns = \"off\" in agent.toml"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use node_agent_api::settings::DIALS;

    use super::*;

    #[test]
    #[ignore = "needs: landlock"]
    fn the_agent_writes_in_its_own_folders_alone() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path());
        folders::make(&paths).unwrap();
        let socket = PathBuf::from("run/maru/dial/ollama/http.sock");
        let to = "127.0.0.1:11434".parse().unwrap();
        let dials = [Dial { name: "ollama".to_owned(), socket, uid: 61_002, to, outside: false }];
        folders::make_dials(&paths, &dials).unwrap();
        let of_dial = paths.resolve(Path::new(DIALS)).join("ollama");
        fs::create_dir(paths.resolver_dir()).unwrap();

        // A thread of its own: the rest of the test program goes on as before.
        let work = || {
            confine_to_own(&paths, &dials).unwrap();
            for folder in [paths.state_dir(), paths.api_dir(), of_dial.clone()] {
                fs::write(folder.join("new"), "x").unwrap();
            }
            fs::write("/dev/null", "x").unwrap();
            let (root, var) = (root.path().to_owned(), root.path().join("var"));
            for folder in [paths.resolver_dir(), paths.resolve(Path::new(DIALS)), root, var] {
                let error = fs::write(folder.join("new"), "x").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{folder:?}");
            }
        };
        thread::scope(|scope| scope.spawn(work).join().unwrap());
        fs::write(root.path().join("new"), "this thread may").unwrap();
    }
}
