//! The agent's state on disk: keys, membership, the last map.
//!
//! Both files are written by [`chassis::state`]; only their owner can read them.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use chassis::state::{self, Format};
use control_protocol::key::{DiscoPrivate, MachinePrivate, MachinePublic, NodePrivate, NodePublic};
use node_agent_core::netmap::{Naming, Netmap};
use serde::{Deserialize, Serialize};

use crate::{
    config::Paths,
    https::{authority::Authority, public::StoredCertificate},
};

const STATE: Format<State> = Format::new(1).remedy(|| REMEDY.into());
const NETMAP: Format<Netmap> = Format::new(1).remedy(|| REMEDY.into());
/// Joining again replaces everything in both files.
const REMEDY: &str = "restore it from a backup, or remove it and join again";

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be read or written, or is not what this program wrote.
    #[error(transparent)]
    File(#[from] state::StateError),
    /// A file cannot be removed, or its folder cannot be made.
    #[error("cannot change {} (it and its folder must belong to the agent's user)", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The system gives no randomness for new keys.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

/// This device's keys and which network it belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// This device's identity towards the coordinator.
    pub(crate) machine_key: MachinePrivate,
    /// This node's WireGuard identity.
    pub(crate) node_key: NodePrivate,
    /// This node's identity for path discovery. Each start generates a new one, which shows peers that the node restarted:
    /// they then accept a handshake although this device's clock went back.
    pub(crate) disco_key: DiscoPrivate,
    /// The key that `node_key` replaces.
    #[serde(default)]
    pub(crate) old_node_key: Option<NodePublic>,
    /// The coordinator that this device belongs to, or is joining.
    #[serde(default)]
    pub(crate) membership: Option<Membership>,
    /// The membership that `membership` replaced, until the new coordinator has accepted this device's request.
    #[serde(default)]
    pub(crate) former: Option<Membership>,
    /// Whether the tunnel is down until it is resumed.
    #[serde(default)]
    pub(crate) paused: bool,
    /// The authority that certifies this node's names, if it offers HTTPS.
    #[serde(default)]
    pub(crate) authority: Option<Authority>,
    /// This node's WireGuard identity towards devices that have WireGuard alone, once the settings make it their router.
    #[serde(default)]
    pub(crate) wireguard_key: Option<NodePrivate>,
    /// Public certificates of this node's names, if the coordinator orders them.
    #[serde(default)]
    pub(crate) certificates: Vec<StoredCertificate>,
}

/// The coordinator that this device belongs to, or is joining.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// Its address.
    pub(crate) server_url: String,
    /// Its pinned Noise key; `None` until the first contact.
    pub(crate) noise_key: Option<MachinePublic>,
    /// The pre-auth key, kept until the coordinator has admitted this device.
    #[serde(default)]
    pub(crate) auth_key: Option<String>,
    /// Certificates of authorities, in PEM, one of which must vouch for an `https://` coordinator; `None` takes those that
    /// this machine trusts.
    #[serde(default)]
    pub(crate) ca: Option<String>,
    /// The name to ask for, if another than the configured one.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    /// Whether the coordinator has admitted `node_key`.
    #[serde(default)]
    pub(crate) registered: bool,
    /// Below which domain the coordinator may set names: fixed by its first map.
    #[serde(default)]
    pub(crate) naming: Naming,
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
    pub(crate) fn generate() -> Result<Self, StateError> {
        Ok(Self {
            machine_key: MachinePrivate::generate().map_err(StateError::Random)?,
            node_key: NodePrivate::generate().map_err(StateError::Random)?,
            disco_key: DiscoPrivate::generate().map_err(StateError::Random)?,
            old_node_key: None,
            membership: None,
            former: None,
            paused: false,
            authority: None,
            wireguard_key: None,
            certificates: Vec::new(),
        })
    }

    /// Begins to join a network, which ends a pause; the membership so far becomes the former one.
    pub(crate) fn join(&mut self, membership: Membership) {
        let before = self.membership.replace(membership);
        self.paused = false;
        if self.former.is_none() {
            self.former = before;
        }
    }

    /// Restores the former membership; returns whether there was one.
    pub(crate) fn revert_join(&mut self) -> bool {
        self.membership = self.former.take();
        self.membership.is_some()
    }

    /// Loads the state, if there is one.
    pub(crate) fn load(paths: &Paths) -> Result<Option<Self>, StateError> {
        Ok(STATE.read(&paths.state())?)
    }

    /// Loads the state, with a new discovery key; generates and stores a new state if there is none.
    pub(crate) fn load_or_generate(paths: &Paths) -> Result<Self, StateError> {
        if let Some(mut state) = Self::load(paths)? {
            state.disco_key = DiscoPrivate::generate().map_err(StateError::Random)?;
            return Ok(state);
        }
        let state = Self::generate()?;
        state.store(paths)?;
        Ok(state)
    }

    /// Stores the state.
    pub(crate) fn store(&self, paths: &Paths) -> Result<(), StateError> {
        make_dir(paths)?;
        Ok(STATE.write(&paths.state(), self)?)
    }
}

/// Loads the last map, if there is one.
pub(crate) fn load_netmap(paths: &Paths) -> Result<Option<Netmap>, StateError> {
    Ok(NETMAP.read(&paths.netmap())?)
}

/// Stores the map.
pub(crate) fn store_netmap(paths: &Paths, netmap: &Netmap) -> Result<(), StateError> {
    make_dir(paths)?;
    Ok(NETMAP.write(&paths.netmap(), netmap)?)
}

/// Removes the map.
pub(crate) fn remove_netmap(paths: &Paths) -> Result<(), StateError> {
    let path = paths.netmap();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StateError::Io { path, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the folder of the state; its parent is shared with other daemons.
fn make_dir(paths: &Paths) -> Result<(), StateError> {
    let dir = paths.state_dir();
    let make = |dir: &Path, mode| fs::DirBuilder::new().recursive(true).mode(mode).create(dir);
    let above = dir.parent().map_or(Ok(()), |above| make(above, 0o755));
    above.and_then(|()| make(&dir, 0o700)).map_err(|source| StateError::Io { path: dir, source })
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
        assert_ne!(first.disco_key, again.disco_key, "peers see that it started again");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&paths.state()), 0o600);
        assert_eq!(mode(&paths.state_dir()), 0o700);
        assert_eq!(mode(paths.state_dir().parent().unwrap()), 0o755, "others have state there");
    }

    #[test]
    fn a_map_is_read_back() {
        let (_root, paths) = paths();
        assert_eq!(load_netmap(&paths).unwrap(), None);
        let netmap = Netmap { domain: "maru.home.arpa".to_owned(), ..Netmap::default() };
        store_netmap(&paths, &netmap).unwrap();
        assert_eq!(load_netmap(&paths).unwrap(), Some(netmap));
        remove_netmap(&paths).unwrap();
        assert_eq!(load_netmap(&paths).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_left_as_it_is() {
        let (_root, paths) = paths();
        make_dir(&paths).unwrap();
        for (text, what) in [
            (r#"{"version":2,"keys":"elsewhere"}"#, "update Maru"),
            (r#"{"version":1,"#, "join again"),
        ] {
            fs::write(paths.state(), text).unwrap();
            let error = State::load_or_generate(&paths).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert_eq!(fs::read_to_string(paths.state()).unwrap(), text);
        }
    }

    #[test]
    fn the_files_of_the_first_version_are_read() {
        let (_root, paths) = paths();
        make_dir(&paths).unwrap();
        let keys = State::generate().unwrap();
        let texts = [keys.machine_key.to_text(), keys.node_key.to_text(), keys.disco_key.to_text()];
        let [machine, node, disco] = texts.each_ref().map(|text| text.as_str());
        let text = format!(
            r#"{{"version":1,"machine_key":"{machine}","node_key":"{node}","disco_key":"{disco}","old_node_key":null,"membership":{{"server_url":"http://a","noise_key":null}}}}"#
        );
        fs::write(paths.state(), text).unwrap();

        let state = State::load_or_generate(&paths).unwrap();

        assert_eq!(state.node_key, keys.node_key);
        assert_eq!(state.membership.unwrap().server_url, "http://a");
    }

    fn membership(server_url: &str) -> Membership {
        Membership {
            server_url: server_url.to_owned(),
            noise_key: None,
            auth_key: Some("sesame".to_owned()),
            ca: None,
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
        assert!(!state.clone().revert_join(), "there was nothing before");

        for wrong in ["http://b", "http://c"] {
            state.join(membership(wrong));
        }
        state.store(&paths).unwrap();
        let mut state = State::load_or_generate(&paths).unwrap();

        assert_eq!(url(&state).as_deref(), Some("http://c"));
        assert!(state.revert_join());
        assert_eq!(url(&state).as_deref(), Some("http://a"));
        assert!(!state.revert_join());
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
