//! The machine's key, under which the gateway seals what people say to the AI.
//!
//! ```text
//! var/lib/maru/machine-key.json ──(passphrase, if there is one)──▶ run/maru/gateway-key, on a tmpfs ──▶ gateway
//! ```
//!
//! The stored file is root's alone: no container mounts it, and no backup holds it. `maru up` hands the key over at each
//! start, and takes it back when everything has stopped; `maru passphrase unlock` does so where units start the gateway.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use ai_gateway_api::settings::gateway;
use anyhow::{Context as _, anyhow, bail};
use chassis::state::Format;
use common::wire::Fixed;
use messages::message;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::output;

mod handed;
mod key;
mod sealed;

pub(crate) use handed::{hand_over, is_handed_over, take_back};
pub(crate) use key::MachineKey;
use sealed::SealedKey;

/// The stored key, below the root.
const FILE: &str = "var/lib/maru/machine-key.json";
const FORMAT: Format<Stored> = Format::new(1).remedy(|| message!("remedy-machine-key"));

/// What protects the stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protection {
    /// The file's mode alone.
    File,
    /// A passphrase.
    Passphrase,
}

/// The stored key.
#[derive(Serialize, Deserialize)]
#[serde(tag = "protection", rename_all = "snake_case")]
enum Stored {
    File { key: Fixed<32> },
    Passphrase(SealedKey),
}

/// What protects the key of the machine at `root`; `None` if it has no key yet.
pub(crate) fn protection(root: &Path) -> anyhow::Result<Option<Protection>> {
    Ok(FORMAT.read(&root.join(FILE))?.map(|stored| match stored {
        Stored::File { .. } => Protection::File,
        Stored::Passphrase(_) => Protection::Passphrase,
    }))
}

/// Reads the key, and asks for its passphrase if it has one; `None` if there is no key yet. Nothing is changed.
pub(crate) fn open(
    root: &Path,
    passphrase: impl FnOnce() -> anyhow::Result<Zeroizing<String>>,
) -> anyhow::Result<Option<MachineKey>> {
    Ok(match FORMAT.read(&root.join(FILE))? {
        None => None,
        Some(Stored::File { key }) => Some(MachineKey(Zeroizing::new(key.0))),
        Some(Stored::Passphrase(sealed)) => Some(sealed.open(&passphrase()?)?),
    })
}

/// Makes and stores a key; says so if there are conversations, which it does not open.
pub(crate) fn begin(root: &Path) -> anyhow::Result<MachineKey> {
    let key = make(root)?;
    if root.join(gateway::Settings::default().database()).exists() {
        output::note(message!("machine-key-new", path = path(root).display()));
    }
    Ok(key)
}

/// Makes and stores a key.
fn make(root: &Path) -> anyhow::Result<MachineKey> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|error| anyhow!(message!("no-random-bytes", error)))?;
    let path = root.join(FILE);
    let folder = path.parent().unwrap_or(root);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| message!("directory-not-made", path = folder.display()))?;
    if !FORMAT.create(&path, &Stored::File { key: Fixed(*key) })? {
        bail!(message!("machine-key-made-meanwhile"));
    }
    Ok(MachineKey(key))
}

/// Stores the key, sealed if there is a passphrase. The former file is overwritten: it may have held the key in the clear.
pub(crate) fn store(root: &Path, key: &MachineKey, passphrase: Option<&str>) -> anyhow::Result<()> {
    let stored = match passphrase {
        None => Stored::File { key: Fixed(*key.0) },
        Some(passphrase) => Stored::Passphrase(SealedKey::new(key, passphrase)?),
    };
    let path = root.join(FILE);
    let former = File::options().write(true).open(&path);
    FORMAT.write(&path, &stored)?;
    overwrite(former).with_context(|| message!("machine-key-not-overwritten"))
}

/// Overwrites a file that has no name any more. A disk with wear levelling may keep the old block.
fn overwrite(file: io::Result<File>) -> io::Result<()> {
    let mut file = file?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    file.write_all(&vec![0; len])?;
    file.sync_all()
}

/// Where the key is stored.
pub(crate) fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

#[cfg(test)]
mod tests;
