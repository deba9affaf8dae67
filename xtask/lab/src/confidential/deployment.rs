//! Who is responsible for the deployment: the identity, what it signs, and the machines' certificates.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    holder,
    host::Host,
    image::{Holder, Image, MODEL, Measurement},
};
use crate::binary;

/// How long the policy holds.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Where a server's keys and certificates are, below its root.
const KEYS: &str = "etc/maru/confidential";

/// The deployment's identity and authority, in a folder that is on no machine of it.
#[derive(Debug)]
pub(super) struct DeploymentFolder {
    folder: PathBuf,
    /// The certificate of the machines' authority, which homes trust for this deployment alone.
    pub(super) authority: PathBuf,
    /// The identity, as homes pin it.
    pub(super) identity: String,
}

impl DeploymentFolder {
    /// Makes both.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let (folder, authority) = (folder.to_owned(), folder.join("ca.crt"));
        let mut made = Self { folder, authority, identity: String::new() };
        made.identity = made.run(&["init"])?;
        Ok(made)
    }

    /// Gives a server on `host` a certificate for its address, where its settings expect it.
    pub(super) fn machine(&self, host: &Host, name: &str, uid: u32, more: &[&str]) -> Result<()> {
        let keys = host.path(KEYS);
        let out = keys.to_str().context("the folder's name is no text")?;
        let address = host.address.to_string();
        self.run(&[&["machine", name, &address, "--out", out][..], more].concat())?;
        host.give(&format!("{KEYS}/{name}.key"), uid)
    }

    /// Has a server on `host` make a key for what it signs, and certifies it.
    pub(super) fn certify(&self, host: &Host, kind: &str, uid: u32) -> Result<()> {
        let file = format!("{KEYS}/{kind}.key");
        let path = host.path(&file);
        let public = self.run(&["key", path.to_str().context("the file's name is no text")?])?;
        host.give(&file, uid)?;
        let certificate = self.run(&["certify", "--for", kind, "--key", &public])?;
        host.file(&format!("{KEYS}/{kind}.json"), &certificate)
    }

    /// Signs a policy for what was measured, with the files of these anchors, and leaves it with auth.
    pub(super) fn policy(&self, image: &Image, anchors: &[PathBuf], auth: &Host) -> Result<()> {
        let pcrs = |holder| {
            let registers = image.registers(holder, Measurement::TheImage).into_iter();
            Value::Object(registers.map(|(at, value)| (at.to_string(), value.into())).collect())
        };
        let not_after = now().checked_add(LIFE).context("no such time")?.as_millis();
        let anchors = anchors
            .iter()
            .enumerate()
            .map(|(at, anchor)| holder::in_policy(anchor, &format!("lab{}", at + 1)));
        let anchors = anchors.collect::<Result<Vec<_>>>()?;
        let policy = json!({
            "version": 1, "policy_id": "lab", "epoch": 1, "simulated": true,
            "not_after": u64::try_from(not_after)?,
            "anchors": anchors,
            "images": [
                { "name": "maru-compute of the lab", "kind": "nitro", "models": [MODEL],
                  "rek": "x-wing", "pcrs": pcrs(Holder::Enclave) },
                { "name": "maru-compute of the lab, with a TPM", "kind": "tpm", "models": [MODEL],
                  "rek": "p-256", "pcrs": pcrs(Holder::Tpm) },
            ],
        });
        let file = self.folder.join("policy.json");
        fs::write(&file, policy.to_string())?;
        let signed = self.run(&["sign-policy", file.to_str().context("no text")?])?;
        auth.file(&format!("{KEYS}/policy.json"), &signed)
    }

    /// `maru-confidential deployment …`; what it printed.
    fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(binary("maru-confidential")?);
        command.args(["deployment", "--folder"]).arg(&self.folder).args(args);
        let out = command.stdin(Stdio::null()).output().context("cannot run maru-confidential")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "maru-confidential deployment {args:?} failed: {said}");
        Ok(String::from_utf8(out.stdout)?.trim().to_owned())
    }
}

/// Settings of relay, gateway, router and auth.
pub(super) fn settings(identity: &str, relay: &Host, gateway: &Host, auth: &Host) -> Result<()> {
    let url = |address: Ipv4Addr, port| format!("https://{address}:{port}");
    let (at, router) = (url(gateway.address, 3200), url(gateway.address, 3600));
    relay.file("etc/maru/confidential-relay.toml", &format!("[gateway]\nurl = \"{at}\"\n"))?;
    gateway.file(
        "etc/maru/confidential-gateway.toml",
        &format!("names = [\"{}\"]\n\n[router]\nurl = \"{router}\"\n", gateway.address),
    )?;
    gateway.file("etc/maru/confidential-router.toml", "")?;
    auth.file(
        "etc/maru/confidential-auth.toml",
        &format!(
            "identity = \"{identity}\"\nrelay_urls = [\"{}\"]\nrouter_url = \"{router}\"\nverifier_hints = [\"simulated\"]\n\n\
             [gateway]\nurl = \"{at}\"\n",
            url(relay.address, 3100)
        ),
    )
}

#[allow(clippy::disallowed_methods, reason = "tests and demonstrations run on the real clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
