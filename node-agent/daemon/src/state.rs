//! What the agent keeps on disk: keys, membership, the last map.
//!
//! Every file carries a version, is written beside its name, synced and renamed, and can be
//! read by its owner only. A file of a newer version is refused and left as it is.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use control_protocol::key::{DiscoPrivate, MachinePrivate, MachinePublic, NodePrivate, NodePublic};
use node_agent_core::netmap::{Naming, Netmap};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::Paths;

/// Version of the files that this program reads and writes.
const VERSION: u32 = 1;

/// The state cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be read or written.
    #[error("cannot read or write {} (it and its folder must belong to the agent's user)", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what this program wrote.
    #[error("{} is damaged: restore it from a backup, or remove it and join again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// A file was written by a newer program.
    #[error("{} has version {version}, this program knows {VERSION}: update Maru", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The system gives no randomness for new keys.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

/// This device's keys and which network it belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// This device's identity towards the coordinator.
    pub machine_key: MachinePrivate,
    /// This node's WireGuard identity.
    pub node_key: NodePrivate,
    /// This node's identity for path discovery.
    pub disco_key: DiscoPrivate,
    /// The key that `node_key` shall replace.
    #[serde(default)]
    pub old_node_key: Option<NodePublic>,
    /// The coordinator that this device belongs to, or is joining.
    #[serde(default)]
    pub membership: Option<Membership>,
    /// What `membership` replaced, until its coordinator has taken this device's request.
    #[serde(default)]
    pub former: Option<Membership>,
}

/// The coordinator that this device belongs to, or is joining.
#[derive(Clone, Serialize, Deserialize)]
pub struct Membership {
    /// Its address.
    pub server_url: String,
    /// Its pinned Noise key; `None` until the first contact.
    pub noise_key: Option<MachinePublic>,
    /// The pre-auth key, kept until the coordinator has admitted this device.
    #[serde(default)]
    pub auth_key: Option<String>,
    /// The name to ask for, if another than the configured one.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Whether the coordinator has admitted `node_key`.
    #[serde(default)]
    pub registered: bool,
    /// Below which domain the coordinator may set names: fixed by its first map.
    #[serde(default)]
    pub naming: Naming,
}

/// Does not show the pre-auth key.
impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("server_url", &self.server_url)
            .field("noise_key", &self.noise_key)
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

impl State {
    /// New keys, no membership.
    ///
    /// # Errors
    ///
    /// Fails if the system gives no randomness.
    pub fn generate() -> Result<Self, StateError> {
        Ok(Self {
            machine_key: MachinePrivate::generate().map_err(StateError::Random)?,
            node_key: NodePrivate::generate().map_err(StateError::Random)?,
            disco_key: DiscoPrivate::generate().map_err(StateError::Random)?,
            old_node_key: None,
            membership: None,
            former: None,
        })
    }

    /// Begins to join a network; the membership so far becomes the former one.
    pub fn join(&mut self, membership: Membership) {
        let before = self.membership.replace(membership);
        if self.former.is_none() {
            self.former = before;
        }
    }

    /// Goes back to the former membership; returns whether there was one.
    pub fn go_back(&mut self) -> bool {
        self.membership = self.former.take();
        self.membership.is_some()
    }

    /// Loads the state; makes and stores a new one if there is none.
    ///
    /// # Errors
    ///
    /// See [`StateError`]. An existing file is not changed.
    pub fn load_or_generate(paths: &Paths) -> Result<Self, StateError> {
        if let Some(state) = load(&paths.state())? {
            return Ok(state);
        }
        let state = Self::generate()?;
        state.store(paths)?;
        Ok(state)
    }

    /// Stores the state.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written; the old file then stays.
    pub fn store(&self, paths: &Paths) -> Result<(), StateError> {
        store(&paths.state(), self)
    }
}

/// Loads the last map, if there is one.
///
/// # Errors
///
/// See [`StateError`].
pub fn load_netmap(paths: &Paths) -> Result<Option<Netmap>, StateError> {
    load(&paths.netmap())
}

/// Stores the map.
///
/// # Errors
///
/// Fails if it cannot be written; the old file then stays.
pub fn store_netmap(paths: &Paths, netmap: &Netmap) -> Result<(), StateError> {
    store(&paths.netmap(), netmap)
}

/// Removes the map.
///
/// # Errors
///
/// Fails if it is there and cannot be removed.
pub fn remove_netmap(paths: &Paths) -> Result<(), StateError> {
    let path = paths.netmap();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StateError::Io { path, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[derive(Serialize)]
struct WithVersion<'a, T> {
    version: u32,
    #[serde(flatten)]
    value: &'a T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Io { path: path.to_owned(), source }),
    };
    let damaged = |source| StateError::Damaged { path: path.to_owned(), source };
    let Version { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(StateError::Newer { path: path.to_owned(), version });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn store<T: Serialize>(path: &Path, value: &T) -> Result<(), StateError> {
    let bytes = serde_json::to_vec(&WithVersion { version: VERSION, value })
        .map_err(|source| StateError::Damaged { path: path.to_owned(), source })?;
    write(path, &bytes).map_err(|source| StateError::Io { path: path.to_owned(), source })
}

/// Writes beside `path`, syncs, renames, syncs the folder: after a power cut the file is the
/// old or the new one, whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    if let Some(above) = dir.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(above)?;
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let temporary = path.with_extension("new");
    // A leftover of a crash may have another mode.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn paths() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path());
        (root, paths)
    }

    #[test]
    fn keys_are_made_once_and_only_the_owner_reads_them() {
        let (_root, paths) = paths();
        let first = State::load_or_generate(&paths).unwrap();
        let again = State::load_or_generate(&paths).unwrap();
        assert_eq!(first.node_key, again.node_key);
        assert_eq!(first.machine_key, again.machine_key);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&paths.state()), 0o600);
        assert_eq!(mode(&paths.state_dir()), 0o700);
        assert_eq!(mode(paths.state_dir().parent().unwrap()), 0o755, "others have state there");
    }

    #[test]
    fn a_map_is_read_back() {
        let (_root, paths) = paths();
        assert_eq!(load_netmap(&paths).unwrap(), None);
        let netmap = Netmap { domain: "maru.internal".to_owned(), ..Netmap::default() };
        store_netmap(&paths, &netmap).unwrap();
        assert_eq!(load_netmap(&paths).unwrap(), Some(netmap));
        remove_netmap(&paths).unwrap();
        assert_eq!(load_netmap(&paths).unwrap(), None);
    }

    #[test]
    fn a_newer_file_is_refused_and_left_as_it_is() {
        let (_root, paths) = paths();
        write(&paths.state(), br#"{"version":2,"keys":"elsewhere"}"#).unwrap();
        let error = State::load_or_generate(&paths).unwrap_err();
        assert!(matches!(error, StateError::Newer { version: 2, .. }), "{error}");
        assert!(fs::read_to_string(paths.state()).unwrap().contains("elsewhere"));
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let (_root, paths) = paths();
        write(&paths.state(), br#"{"version":1,"#).unwrap();
        assert!(matches!(State::load_or_generate(&paths), Err(StateError::Damaged { .. })));
        assert_eq!(fs::read(paths.state()).unwrap(), br#"{"version":1,"#);
    }

    fn membership(server_url: &str) -> Membership {
        Membership {
            server_url: server_url.to_owned(),
            noise_key: None,
            auth_key: Some("sesame".to_owned()),
            hostname: None,
            registered: false,
            naming: Naming::Open,
        }
    }

    #[test]
    fn the_way_back_is_to_what_was_before_all_attempts() {
        let (_root, paths) = paths();
        let mut state = State::generate().unwrap();
        let url = |state: &State| state.membership.as_ref().map(|is| is.server_url.clone());
        state.join(membership("http://a"));
        assert!(!state.clone().go_back(), "there was nothing before");

        for wrong in ["http://b", "http://c"] {
            state.join(membership(wrong));
        }
        state.store(&paths).unwrap();
        let mut state = State::load_or_generate(&paths).unwrap();

        assert_eq!(url(&state).as_deref(), Some("http://c"));
        assert!(state.go_back());
        assert_eq!(url(&state).as_deref(), Some("http://a"));
        assert!(!state.go_back());
        assert_eq!(url(&state), None);
    }

    #[test]
    fn no_secret_is_shown() {
        let mut state = State::generate().unwrap();
        state.membership = Some(membership("http://a"));
        state.former = state.membership.clone();
        let shown = format!("{state:?}");
        let secret = state.node_key.to_text();
        assert!(
            !shown.contains("sesame") && !shown.contains(secret.trim_start_matches("privkey:"))
        );
    }
}
