//! The machine's key, under which the gateway seals what people say to the AI.
//!
//! ```text
//! var/lib/maru/machine-key.json ──(TPM, host key or passphrase)──▶ run/maru/gateway-key, on a tmpfs ──▶ gateway
//! ```
//!
//! The stored file is root's alone: no container mounts it, and no backup holds it. `maru up` hands the key over at each
//! start, and takes it back when everything has stopped; `maru passphrase unlock` does so where units start the gateway.
//! What this machine seals, a passphrase opens too, on every machine: a TPM that was cleared locks nobody out.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
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

mod bound;
mod handed;
mod key;
mod sealed;

pub(crate) use bound::has_tpm;
use bound::{BoundKey, Holder};
pub(crate) use handed::{hand_over, is_handed_over, take_back};
pub(crate) use key::MachineKey;
use sealed::SealedKey;

/// The stored key, below the root.
const FILE: &str = "var/lib/maru/machine-key.json";
const FORMAT: Format<Stored> = Format::new(2)
    .remedy(|| message!("remedy-machine-key"))
    // A key that a machine seals is new in version 2.
    .earlier(|version, json| (version == 1).then(|| serde_json::from_slice(json)));
/// Bytes of a passphrase that is made here.
const PASSPHRASE_BYTES: usize = 16;

/// What protects the stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protection {
    /// The file's mode alone.
    File,
    /// A passphrase.
    Passphrase,
    /// This machine's TPM, and a passphrase elsewhere.
    Tpm,
    /// systemd's host key, which is on the same disk, and a passphrase elsewhere.
    Host,
}

/// The stored key.
#[derive(Serialize, Deserialize)]
#[serde(tag = "protection", rename_all = "snake_case")]
enum Stored {
    File { key: Fixed<32> },
    Passphrase(SealedKey),
    Machine { here: BoundKey, elsewhere: SealedKey },
}

/// What protects the key of the machine at `root`; `None` if it has no key yet.
pub(crate) fn protection(root: &Path) -> anyhow::Result<Option<Protection>> {
    Ok(FORMAT.read(&root.join(FILE))?.map(|stored| match stored {
        Stored::File { .. } => Protection::File,
        Stored::Passphrase(_) => Protection::Passphrase,
        Stored::Machine { here, .. } => match here.holder {
            Holder::Tpm => Protection::Tpm,
            Holder::Host => Protection::Host,
        },
    }))
}

/// Reads the key, and asks for its passphrase if this machine does not open it; `None` if there is no key yet. Nothing is
/// changed.
pub(crate) fn open(
    root: &Path,
    passphrase: impl FnOnce() -> anyhow::Result<Zeroizing<String>>,
) -> anyhow::Result<Option<MachineKey>> {
    Ok(match FORMAT.read(&root.join(FILE))? {
        None => None,
        Some(Stored::File { key }) => Some(MachineKey(Zeroizing::new(key.0))),
        Some(Stored::Passphrase(sealed)) => Some(sealed.open(&passphrase()?)?),
        Some(Stored::Machine { here, elsewhere }) => Some(match here.open() {
            Ok(key) => key,
            Err(error) => {
                output::note(message!("machine-key-closed", error = format!("{error:#}")));
                elsewhere.open(&passphrase()?)?
            }
        }),
    })
}

/// Whether this machine opens the key that it sealed; says why not.
pub(crate) fn opens_here(root: &Path) -> anyhow::Result<()> {
    match FORMAT.read(&root.join(FILE))? {
        Some(Stored::Machine { here, .. }) => here.open().map(drop),
        Some(Stored::File { .. } | Stored::Passphrase(_)) | None => Ok(()),
    }
}

/// Has this machine open the key by itself: by its TPM, or else by systemd's host key. The passphrase stays. Where there is
/// none, one is made and returned: nobody can read it later.
pub(crate) fn seal(
    root: &Path,
    passphrase: impl FnOnce() -> anyhow::Result<Zeroizing<String>>,
) -> anyhow::Result<Option<Zeroizing<String>>> {
    let former = FORMAT.read(&root.join(FILE))?;
    let key = open(root, passphrase)?.context(message!("passphrase-none"))?;
    let holder = Holder::of_this_machine();
    let (stored, made) = match former {
        Some(Stored::Passphrase(elsewhere) | Stored::Machine { elsewhere, .. }) => {
            (Stored::Machine { here: BoundKey::new(holder, &key)?, elsewhere }, None)
        }
        Some(Stored::File { .. }) | None => {
            bound(holder, &key).map(|(it, made)| (it, Some(made)))?
        }
    };
    replace(root, &stored)?;
    Ok(made)
}

/// The key as this machine and a new passphrase open it.
fn bound(holder: Holder, key: &MachineKey) -> anyhow::Result<(Stored, Zeroizing<String>)> {
    let here = BoundKey::new(holder, key)?;
    let passphrase = new_passphrase()?;
    let elsewhere = SealedKey::new(key, &passphrase)?;
    Ok((Stored::Machine { here, elsewhere }, passphrase))
}

/// A passphrase that nobody guesses: hexadecimal digits in groups of four, which are read and typed without mistakes.
fn new_passphrase() -> anyhow::Result<Zeroizing<String>> {
    let digits = Zeroizing::new(hex::encode(*random::<PASSPHRASE_BYTES>()?));
    let mut text = Zeroizing::new(String::with_capacity(PASSPHRASE_BYTES * 3));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(digit);
    }
    Ok(text)
}

fn random<const N: usize>() -> anyhow::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| anyhow!(message!("no-random-bytes", error)))?;
    Ok(bytes)
}

/// Makes and stores a key; says so if there are conversations, which it does not open.
pub(crate) fn begin(root: &Path) -> anyhow::Result<MachineKey> {
    let key = MachineKey(random()?);
    make(root, &Stored::File { key: Fixed(*key.0) })?;
    Ok(key)
}

/// As [`begin`], but sealed by this machine's TPM if it has one: then the key was never on the disk, and the passphrase that
/// opens it elsewhere is returned, too.
pub(crate) fn begin_sealed(root: &Path) -> anyhow::Result<(MachineKey, Option<Zeroizing<String>>)> {
    if !has_tpm() {
        return begin(root).map(|key| (key, None));
    }
    let key = MachineKey(random()?);
    let (stored, made) = match bound(Holder::Tpm, &key) {
        Ok((stored, made)) => (stored, Some(made)),
        Err(error) => {
            output::note(message!("machine-key-without-tpm", error = format!("{error:#}")));
            (Stored::File { key: Fixed(*key.0) }, None)
        }
    };
    make(root, &stored)?;
    Ok((key, made))
}

/// Stores the first key.
fn make(root: &Path, stored: &Stored) -> anyhow::Result<()> {
    let path = root.join(FILE);
    let folder = path.parent().unwrap_or(root);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| message!("directory-not-made", path = folder.display()))?;
    if !FORMAT.create(&path, stored)? {
        bail!(message!("machine-key-made-meanwhile"));
    }
    if root.join(gateway::Settings::default().database()).exists() {
        output::note(message!("machine-key-new", path = path.display()));
    }
    Ok(())
}

/// Stores the key, sealed if there is a passphrase; this machine alone opens it no more. The former file is overwritten: it
/// may have held the key in the clear.
pub(crate) fn store(root: &Path, key: &MachineKey, passphrase: Option<&str>) -> anyhow::Result<()> {
    let stored = match passphrase {
        None => Stored::File { key: Fixed(*key.0) },
        Some(passphrase) => Stored::Passphrase(SealedKey::new(key, passphrase)?),
    };
    replace(root, &stored)
}

/// Stores this instead of the former, and overwrites that.
fn replace(root: &Path, stored: &Stored) -> anyhow::Result<()> {
    let path = root.join(FILE);
    let former = File::options().write(true).open(&path);
    FORMAT.write(&path, stored)?;
    overwrite(former).with_context(|| message!("machine-key-not-overwritten"))
}

/// Overwrites a copy of the key in a folder that holds the state of an instance, if there is one. No link is followed: it would
/// lead to the key itself.
pub(crate) fn overwrite_copy(state: &Path) -> io::Result<()> {
    let path = state.join(Path::new(FILE).file_name().unwrap_or_default());
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => {
            let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
            overwrite(File::options().write(true).custom_flags(flags).open(path))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Overwrites a file that has no name any more, or will have none. A disk with wear levelling may keep the old block.
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
