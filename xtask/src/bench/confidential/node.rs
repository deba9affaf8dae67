//! A node: `maru-compute`, and what stands in for its security module or its TPM.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use lab::swtpm::{self, Swtpm};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::ours::{self, DeploymentFolder};
use crate::bench::process::Running;

/// What holds a node's key, and so which kind of key requests are sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// An enclave: X-Wing. `maru-attester` stands in for its security module.
    Enclave,
    /// A TPM: P-256. It is Debian's `swtpm`, which computes in software.
    Tpm,
}

impl Holder {
    pub(super) const ALL: [Self; 2] = [Self::Enclave, Self::Tpm];

    /// The model that its nodes answer as.
    pub(super) fn model(self) -> &'static str {
        match self {
            Self::Enclave => "x-wing",
            Self::Tpm => "p-256",
        }
    }

    /// Its image in the policy.
    pub(super) fn image(self) -> Value {
        let (kind, registers, value) = match self {
            Self::Enclave => ("nitro", &[0, 1, 2][..], "11".repeat(48)),
            Self::Tpm => ("tpm", &TPM_REGISTERS[..], extended()),
        };
        let pcrs: Map<_, _> =
            registers.iter().map(|at| (at.to_string(), value.clone().into())).collect();
        let model = self.model();
        json!({ "name": model, "kind": kind, "models": [model], "rek": model, "pcrs": pcrs })
    }
}

/// The registers that a TPM's evidence shows, and what each is extended by: nothing is measured here.
const TPM_REGISTERS: [u8; 2] = [8, 12];
const TOLD: [u8; 32] = [0x11; 32];

/// What such a register holds then.
fn extended() -> String {
    hex::encode(Sha256::digest([[0; 32], TOLD].concat()))
}

/// What stands in for the holder.
#[derive(Debug)]
enum StandIn {
    Attester { _process: Running },
    Tpm { _process: Swtpm },
}

/// A node that has its settings and does not run yet.
#[derive(Debug)]
pub(super) struct Prepared {
    root: PathBuf,
    listen: SocketAddr,
    stand_in: StandIn,
    /// What its evidence ends in, as a policy names it.
    pub(super) anchor: Value,
}

impl Prepared {
    /// Prepares one in a folder of its own, beside a model server, for a router.
    pub(super) fn new(
        holder: Holder,
        root: &Path,
        engine: SocketAddr,
        router: SocketAddr,
    ) -> Result<Self> {
        fs::create_dir_all(root.join("etc/maru"))?;
        let name = root.file_name().and_then(|name| name.to_str()).context("no name")?;
        let (stand_in, setting, socket) = match holder {
            Holder::Enclave => (attester(root)?, "nsm", root.join("nsm.sock")),
            Holder::Tpm => {
                let tpm = Swtpm::start(&root.join("tpm"))?;
                for register in TPM_REGISTERS {
                    swtpm::extend(tpm.socket(), register, TOLD)?;
                }
                let socket = tpm.socket().to_owned();
                (StandIn::Tpm { _process: tpm }, "tpm", socket)
            }
        };
        let [listen] = ours::free()?;
        let settings = format!(
            "listen = \"{listen}\"\nurl = \"https://{listen}\"\nmodels = [\"{}\"]\nengine = \"http://{engine}\"\n\
             {setting} = {socket:?}\n[router]\nurl = \"https://{router}\"\n",
            holder.model(),
        );
        fs::write(root.join("etc/maru/confidential-compute.toml"), settings)?;
        let anchor = match holder {
            Holder::Enclave => {
                let certificate = ours::der(&root.join("authority/root.pem"))?;
                json!({ "name": name, "kind": "nitro", "certificate": certificate })
            }
            Holder::Tpm => attestation_key(root, name)?,
        };
        Ok(Self { root: root.to_owned(), listen, stand_in, anchor })
    }
}

/// Starts the stand-in for a security module.
fn attester(root: &Path) -> Result<StandIn> {
    let (socket, authority) = (root.join("nsm.sock"), root.join("authority"));
    let mut command = Command::new(lab::binary("maru-attester")?);
    command.arg("--listen").arg(&socket).arg("--root").arg(&authority);
    for register in 0..3 {
        command.args(["--pcr", &format!("{register}={}", "11".repeat(48))]);
    }
    let log = root.join("attester.log");
    let mut process = Running::start(&mut command, &log)?;
    let certificate = authority.join("root.pem");
    ours::wait(&mut process, &log, || socket.exists() && certificate.exists())?;
    Ok(StandIn::Attester { _process: process })
}

/// Has the TPM make its attestation key; the anchor that names it.
fn attestation_key(root: &Path, name: &str) -> Result<Value> {
    let mut command = Command::new(lab::binary("maru-compute")?);
    command.args(["ak", "--name", name, "--root"]).arg(root).stdin(Stdio::null());
    let out = command.output().context("cannot run maru-compute")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "maru-compute ak failed: {said}");
    serde_json::from_slice(&out.stdout).context("maru-compute ak prints an anchor")
}

/// A node that runs.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) boot: Running,
    pub(super) router_com: Running,
    _stand_in: StandIn,
}

impl Node {
    pub(super) fn start(own: &DeploymentFolder, prepared: Prepared) -> Result<Self> {
        let Prepared { root, listen, stand_in, .. } = prepared;
        own.machine(&root, "node", &["--role", "node"])?;
        let mut boot = ours::daemon(&root, "maru-compute", "boot")?;
        let socket = root.join("run/maru/confidential-boot/boot.sock");
        ours::wait(&mut boot, &root.join("boot.log"), || socket.exists())?;
        let mut router_com = ours::daemon(&root, "maru-compute", "router-com")?;
        ours::listens(&mut router_com, &root.join("router-com.log"), listen)?;
        Ok(Self { boot, router_com, _stand_in: stand_in })
    }
}
