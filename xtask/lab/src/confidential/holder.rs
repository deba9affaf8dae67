//! What holds a node's key: a stand-in for an enclave's security module, or for a TPM.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    host::Host,
    image::{Holder, Image, Measurement},
};
use crate::{Process, ROOT, swtpm};

/// Where the stand-in listens, below the root.
const SOCKET: &str = "run/holder/holder.sock";

/// A running holder of a node's key.
#[derive(Debug)]
pub(super) struct RunningHolder {
    /// The stand-in.
    pub(super) process: Process,
    /// What the node's settings say of it.
    pub(super) setting: String,
}

/// Starts the stand-in and has it hold what was measured. As root, like the kernel's driver.
pub(super) fn start(
    host: &Host,
    holder: Holder,
    image: &Image,
    shows: Measurement,
    folder: &Path,
) -> Result<RunningHolder> {
    host.directory("run/holder", 0, 0, 0o755)?;
    let (command, setting) = match holder {
        Holder::Enclave => {
            let mut command = host.instance.program("maru-attester");
            command.args(["--listen", &format!("{ROOT}/{SOCKET}"), "--root"]).arg(folder);
            for (at, value) in image.registers(holder, shows) {
                command.args(["--pcr", &format!("{at}={value}")]);
            }
            (command, "nsm")
        }
        Holder::Tpm => {
            let state = Path::new(ROOT).join("run/holder/state");
            host.directory("run/holder/state", 0, 0, 0o700)?;
            let mut command = host.instance.machine.command("swtpm");
            command.args(swtpm::arguments(&state, &Path::new(ROOT).join(SOCKET)));
            (command, "tpm")
        }
    };
    let mut process = host.spawn("holder", command)?;
    let socket = host.path(SOCKET);
    host.wait("holder", &mut process, || {
        socket.exists() && (holder == Holder::Tpm || folder.join("root.pem").exists())
    })?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    if holder == Holder::Tpm {
        for (register, hash) in image.told(shows) {
            swtpm::extend(&socket, register, hash)?;
        }
    }
    Ok(RunningHolder { process, setting: format!("{setting} = \"{ROOT}/{SOCKET}\"") })
}

/// The file that names it as an anchor: the stand-in's root, or the attestation key that is made here. The node's settings
/// are there.
pub(super) fn anchor(host: &Host, holder: Holder, name: &str, folder: &Path) -> Result<PathBuf> {
    if holder == Holder::Enclave {
        return Ok(folder.join("root.pem"));
    }
    let mut command = host.instance.program("maru-compute");
    let out = command.args(["ak", "--root", ROOT, "--name", name]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "maru-compute ak failed: {said}");
    let file = folder.join("ak.json");
    fs::create_dir_all(folder)?;
    fs::write(&file, out.stdout)?;
    Ok(file)
}

/// An anchor as it stands in a policy.
pub(super) fn in_policy(file: &Path, name: &str) -> Result<Value> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    if file.extension().is_some_and(|it| it == "json") {
        return Ok(serde_json::from_str(&text)?);
    }
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let standard: String = lines.collect();
    // base64url without padding.
    let der = standard.trim_end_matches('=').replace('+', "-").replace('/', "_");
    Ok(json!({ "name": name, "kind": "nitro", "certificate": der }))
}
