//! The machine's key under this machine: its TPM or systemd's host key, by `systemd-creds(1)`.

use std::{
    fmt,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use messages::message;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::MachineKey;

/// The kernel's device of a TPM 2.0.
const TPM: &str = "/dev/tpmrm0";
/// The name of the credential: another one's does not open as this.
const NAME: &str = "--name=maru-machine-key";

/// What of this machine opens the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Holder {
    /// Its TPM, whatever the machine boots: an update of its firmware closes nothing.
    Tpm,
    /// systemd's host key, a file on the same disk.
    Host,
}

impl Holder {
    /// The TPM, or else the host key.
    pub(super) fn of_this_machine() -> Self {
        if has_tpm() { Self::Tpm } else { Self::Host }
    }
}

/// Whether this machine has a TPM 2.0.
pub(crate) fn has_tpm() -> bool {
    Path::new(TPM).exists()
}

/// The sealed key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct BoundKey {
    pub(super) holder: Holder,
    /// The credential in Base64.
    credential: String,
}

impl BoundKey {
    /// Seals the key, and opens it again: a key that this machine does not open is not stored.
    ///
    /// # Errors
    ///
    /// What `systemd-creds` says, such as libraries that it lacks.
    pub(super) fn new(holder: Holder, key: &MachineKey) -> anyhow::Result<Self> {
        let with: &[&str] = match holder {
            // No register of the TPM: each would close the key after some update of firmware or boot loader.
            Holder::Tpm => &["--with-key=tpm2", "--tpm2-pcrs="],
            Holder::Host => &["--with-key=host"],
        };
        let text = creds(&[&["encrypt", NAME], with, &["-", "-"]].concat(), &*key.0)?;
        let lines = std::str::from_utf8(&text).context(message!("machine-key-not-bound"))?;
        let bound = Self { holder, credential: lines.split_whitespace().collect() };
        ensure!(bound.open()? == *key, message!("machine-key-not-bound"));
        Ok(bound)
    }

    /// Opens the key.
    ///
    /// # Errors
    ///
    /// Another machine sealed it, the TPM was cleared, the host key is gone, or the file is damaged.
    pub(super) fn open(&self) -> anyhow::Result<MachineKey> {
        let bytes = creds(&["decrypt", NAME, "-", "-"], self.credential.as_bytes())?;
        let key = <[u8; 32]>::try_from(&**bytes).context(message!("machine-key-damaged"))?;
        Ok(MachineKey(Zeroizing::new(key)))
    }
}

impl fmt::Debug for BoundKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundKey({:?})", self.holder)
    }
}

/// Runs `systemd-creds` with this input; its output, or the last thing that it said.
fn creds(args: &[&str], input: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let failed = || message!("creds-not-run");
    let mut child = Command::new("systemd-creds")
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    // One that ended early says why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    let ended = child.wait_with_output().with_context(failed)?;
    let output = Zeroizing::new(ended.stdout);
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        bail!(message!("creds-failed", said = last.trim()));
    }
    Ok(output)
}
