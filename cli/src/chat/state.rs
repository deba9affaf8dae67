//! The app's state: its device key, a record of each gateway, and the pinned identities ([`super::pins`]).
//!
//! Files of [`chassis::state`], mode 0600, in one directory of mode 0700.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use ai_gateway_api::{sealed::Ed25519Public, wire::Fixed};
use anyhow::{Context as _, anyhow};
use chassis::state::Format;
use ed25519_dalek::SigningKey;
use messages::{Message, message};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

const KEY_FILE: &str = "device.key";
const SEEN_FILE: &str = "gateways.json";

/// The directory, made if missing.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

const KEY: Format<KeyFile> = Format::new(1).remedy(remedy);
const SEEN: Format<GatewaysFile> = Format::new(1).remedy(remedy);
/// All that is lost without a file is asked for again.
pub(super) fn remedy() -> Message {
    message!("remedy-new-one")
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    /// Seed of the Ed25519 key.
    seed: Fixed<32>,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct GatewaysFile {
    gateways: BTreeMap<String, GatewayRecord>,
}

/// The record of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GatewayRecord {
    /// Highest epoch of its keys.
    pub(super) epoch: u64,
    /// Node that the device key is bound to there.
    #[serde(default)]
    pub(super) bound_to: Option<String>,
}

impl Directory {
    /// The directory of this instance and person.
    pub(super) fn open(root: &Path) -> anyhow::Result<Self> {
        Self::at(path(root, rustix::process::geteuid().is_root(), |name| {
            std::env::var_os(name).map(PathBuf::from)
        })?)
    }

    /// Opens `path`, making it if missing.
    pub(super) fn at(path: PathBuf) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| message!("chat-folder-not-made", path = path.display()))?;
        Ok(Self(path))
    }

    /// The device key, made at the first call.
    pub(super) fn device_key(&self) -> anyhow::Result<SigningKey> {
        let path = self.key_file();
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| anyhow!(message!("no-random-bytes", error)))?;
        // It does not replace the key that another process made meanwhile.
        KEY.create(&path, &KeyFile { seed: Fixed(*seed) })?;
        read_key(&path)?.with_context(|| message!("file-vanished", path = path.display()))
    }

    /// Where the device key is.
    pub(super) fn key_file(&self) -> PathBuf {
        self.0.join(KEY_FILE)
    }

    /// The file of the gateways' records.
    pub(super) fn seen_file(&self) -> PathBuf {
        self.0.join(SEEN_FILE)
    }

    /// The record of this gateway.
    pub(super) fn seen(&self, identity: Ed25519Public) -> anyhow::Result<GatewayRecord> {
        let mut file: GatewaysFile = self.read(SEEN_FILE, &SEEN)?;
        Ok(file.gateways.remove(&identity.to_string()).unwrap_or_default())
    }

    /// Changes the record of this gateway.
    pub(super) fn update(
        &self,
        identity: Ed25519Public,
        change: impl FnOnce(&mut GatewayRecord),
    ) -> anyhow::Result<()> {
        self.change(SEEN_FILE, &SEEN, |file: &mut GatewaysFile| {
            change(file.gateways.entry(identity.to_string()).or_default());
        })
    }

    /// Reads a file; a missing one is empty.
    pub(super) fn read<T: Default + DeserializeOwned>(
        &self,
        name: &str,
        format: &Format<T>,
    ) -> anyhow::Result<T> {
        Ok(format.read(&self.0.join(name))?.unwrap_or_default())
    }

    /// Changes a file under a lock; after a power cut it has the old or the new content.
    pub(super) fn change<T: Clone + Default + PartialEq + DeserializeOwned + Serialize, R>(
        &self,
        name: &str,
        format: &Format<T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> anyhow::Result<R> {
        let directory =
            File::open(&self.0).with_context(|| message!("not-opened", path = self.0.display()))?;
        // Release until the directory is closed.
        directory.lock().with_context(|| message!("file-not-locked", path = self.0.display()))?;
        let mut file: T = self.read(name, format)?;
        let before = file.clone();
        let result = change(&mut file);
        if file != before {
            format.write(&self.0.join(name), &file)?;
        }
        Ok(result)
    }
}

/// Below the root for the superuser and for instances of their own; else the person's own state folder.
fn path(
    root: &Path,
    superuser: bool,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    if superuser || root != Path::new("/") {
        return Ok(root.join("var/lib/maru/chat"));
    }
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let state = state.context(message!("no-home-folder"))?;
    Ok(state.join("maru/chat"))
}

fn read_key(path: &Path) -> anyhow::Result<Option<SigningKey>> {
    let Some(file) = KEY.read(path)? else {
        return Ok(None);
    };
    let seed = Zeroizing::new(file.seed.0);
    Ok(Some(SigningKey::from_bytes(&seed)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    const IDENTITY: Ed25519Public = Fixed([1; 32]);

    fn directory() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().join("chat")).unwrap();
        (folder, directory)
    }

    #[test]
    fn the_device_key_stays_the_same_and_to_its_owner() {
        let (_folder, directory) = directory();

        let first = directory.device_key().unwrap();

        assert_eq!(directory.device_key().unwrap(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&directory.0), 0o700);
        assert_eq!(mode(&directory.0.join(KEY_FILE)), 0o600);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn two_processes_make_one_key() {
        let (_folder, directory) = directory();

        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| directory.device_key().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_newer_or_damaged_file_is_refused_untouched() {
        let (_folder, directory) = directory();
        for (text, what) in
            [(r#"{"version":2}"#, "version 2"), (r#"{"version":1,"seed":"canary"}"#, "damaged")]
        {
            for name in [KEY_FILE, SEEN_FILE] {
                fs::write(directory.0.join(name), text).unwrap();
            }

            let key = format!("{:#}", directory.device_key().unwrap_err());
            let seen =
                format!("{:#}", directory.update(IDENTITY, |seen| seen.epoch = 1).unwrap_err());

            assert!(key.contains(what) && seen.contains(what), "{key}; {seen}");
            assert!(!key.contains("canary"));
            assert_eq!(fs::read_to_string(directory.0.join(KEY_FILE)).unwrap(), text);
            assert_eq!(fs::read_to_string(directory.0.join(SEEN_FILE)).unwrap(), text);
        }
    }

    #[test]
    fn what_was_seen_is_kept_per_gateway() {
        let (_folder, directory) = directory();
        assert_eq!(directory.seen(IDENTITY).unwrap(), GatewayRecord::default());

        directory.update(IDENTITY, |seen| seen.epoch = 7).unwrap();
        directory.update(IDENTITY, |seen| seen.bound_to = Some("n2".to_owned())).unwrap();

        assert_eq!(
            directory.seen(IDENTITY).unwrap(),
            GatewayRecord { epoch: 7, bound_to: Some("n2".to_owned()) }
        );
        assert_eq!(directory.seen(Fixed([2; 32])).unwrap(), GatewayRecord::default());
    }

    #[test]
    fn the_key_lies_below_the_root_or_with_the_person() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/mina"));
        let xdg =
            |name: &str| Some(PathBuf::from(if name == "HOME" { "/home/mina" } else { "/state" }));

        assert_eq!(
            path(Path::new("/lab"), false, home).unwrap(),
            Path::new("/lab/var/lib/maru/chat")
        );
        assert_eq!(path(Path::new("/"), true, home).unwrap(), Path::new("/var/lib/maru/chat"));
        assert_eq!(
            path(Path::new("/"), false, home).unwrap(),
            Path::new("/home/mina/.local/state/maru/chat")
        );
        assert_eq!(path(Path::new("/"), false, xdg).unwrap(), Path::new("/state/maru/chat"));
        assert!(path(Path::new("/"), false, |_| None).is_err());
    }
}
