//! What happens before the agent has a second thread: it gets what only root can give, and gives up the rest.
//!
//! Started as root it (1) opens the TUN and starts the [`Helper`], (2) takes over its folders, which root owned before
//! ([`folders`]), (3) becomes its own user with two capabilities ([`rights`]). Another user that has these two just
//! runs, without the helper. Either may then write in its own folders alone ([`chassis::confine`]).

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

use crate::{
    config::{Config, Paths},
    dns::{
        helper::{Helper, HelperError},
        resolv_conf::RESOLV_CONF,
    },
};

pub mod folders;
pub mod rights;

use folders::FolderError;
use rights::RightsError;

/// The device that makes network interfaces.
const TUN: &str = "/dev/net/tun";
/// What the agent writes beside its folders: the TUN, interfaces' settings, and nothing at all.
const WRITABLE: [&str; 3] = [TUN, "/proc/sys/net", "/dev/null"];

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The root.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// The settings.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// The folders.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The helper.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// The rights.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// Landlock is there and refuses.
    #[error("cannot confine what the agent writes")]
    Confine(#[source] io::Error),
}

/// An agent that has given up what it does not need.
#[derive(Debug)]
pub struct Start {
    /// The settings.
    pub config: Config,
    /// Where files lie.
    pub paths: Paths,
    /// The instance's root.
    pub root: PathBuf,
    /// What root left to it.
    pub inherited: Inherited,
}

/// What only root could open or start.
#[derive(Debug, Default)]
pub struct Inherited {
    /// `/dev/net/tun`, where others than root may not open it.
    pub tun: Option<OwnedFd>,
    /// Who writes `resolv.conf`.
    pub helper: Option<Helper>,
}

/// Loads the settings and gives up every right that the agent does not need. To be called first in `main`.
///
/// # Errors
///
/// See [`StartError`]. The process must end then: it may have given up a part. Unusable settings change nothing.
pub fn prepare(root: PathBuf, config: Option<PathBuf>) -> Result<Start, StartError> {
    chassis::root::check(&root)?;
    let paths = Paths::new(&root);
    let config = Config::load(&root, config.as_deref())?;
    let inherited = if rights::is_root() {
        from_root(&root, &paths, &config.settings.dial)?
    } else {
        rights::become_agent()?;
        folders::make(&paths)?;
        folders::make_dials(&paths, &config.settings.dial)?;
        Inherited::default()
    };
    let enforcement = confine_to_own(&paths, &config.settings.dial).map_err(StartError::Confine)?;
    say(&config, &inherited, enforcement);
    let inherited =
        if config.settings.dns == Dns::Off { without_helper(inherited) } else { inherited };
    Ok(Start { config, paths, root, inherited })
}

/// Takes what only root can give, then gives up being root.
fn from_root(root: &Path, paths: &Paths, dials: &[Dial]) -> Result<Inherited, StartError> {
    let tun = File::options().read(true).write(true).open(TUN).ok().map(OwnedFd::from);
    let helper = Helper::start(root)?;
    match give_up(root, paths, dials) {
        Ok(()) => Ok(Inherited { tun, helper: Some(helper) }),
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
    // Root enters folders that keep the agent's user out.
    Ok(chassis::root::check(root)?)
}

/// Ends the helper where the settings need none: it was started to undo what a crash left under other settings.
fn without_helper(inherited: Inherited) -> Inherited {
    if let Some(helper) = inherited.helper {
        helper.end();
    }
    Inherited { helper: None, ..inherited }
}

/// Lets this process write in its own folders, and what it needs of the system's.
fn confine_to_own(paths: &Paths, dials: &[Dial]) -> io::Result<Enforcement> {
    let mut places = vec![place(&paths.state_dir())?, place(&paths.api_dir())?];
    for (folder, _) in folders::dial_folders(paths, dials) {
        places.push(place(&folder)?);
    }
    // Without one of these, whoever needs it says so.
    places.extend(WRITABLE.iter().filter_map(|path| place(Path::new(path)).ok()));
    confine::write_only(&places)
}

fn place(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn say(config: &Config, inherited: &Inherited, enforcement: Enforcement) {
    if enforcement != Enforcement::Full {
        tracing::warn!("{enforcement}; `maru doctor` says what this host lacks");
    }
    if inherited.helper.is_none() && config.settings.dns == Dns::ResolvConf {
        tracing::warn!(
            "{RESOLV_CONF} stays as it is, since only root may write it: start the agent as root for the network's names, or set dns = \"off\" in agent.toml"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

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
        let of_dial = paths.dials_dir().join("ollama");
        fs::create_dir(paths.resolver_dir()).unwrap();

        // A thread of its own: the rest of the test program goes on as before.
        let work = || {
            confine_to_own(&paths, &dials).unwrap();
            for folder in [paths.state_dir(), paths.api_dir(), of_dial.clone()] {
                fs::write(folder.join("new"), "x").unwrap();
            }
            fs::write("/dev/null", "x").unwrap();
            let (root, var) = (root.path().to_owned(), root.path().join("var"));
            for folder in [paths.resolver_dir(), paths.dials_dir(), root, var] {
                let error = fs::write(folder.join("new"), "x").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{folder:?}");
            }
        };
        thread::scope(|scope| scope.spawn(work).join().unwrap());
        fs::write(root.path().join("new"), "this thread may").unwrap();
    }
}
