//! A node: what holds its key, `maru-compute`, and its engine.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    deployment::DeploymentFolder,
    holder::{self, RunningHolder},
    host::Host,
    image::{Holder, Image, MODEL, Measurement},
    users::{BOOT, ENGINE, ROUTER_COM},
};
use crate::{Process, ROOT};
use testkit::blocking::http;

/// Where the engine listens, below the root.
const ENGINE_SOCKET: &str = "run/maru/confidential-engine/llm.sock";

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    /// Where.
    pub host: Host,
    /// The stand-in for its security module, or its TPM.
    pub holder: Process,
    /// Answers prompts.
    pub engine: Process,
    /// Has the key, or the TPM use it, and starts the workers.
    pub boot: Process,
    /// Faces the router; to stop it takes the node away.
    pub router_com: Process,
}

/// A node that was measured, and does not run yet.
#[derive(Debug)]
pub(super) struct PreparedNode {
    host: Host,
    holder: Process,
    /// What its evidence ends in.
    pub(super) anchor: PathBuf,
}

/// Starts what holds its key, and writes its settings. What is kept of it beside its machine is in `folder`.
pub(super) fn measured(
    host: Host,
    (holder, shows): (Holder, Measurement),
    image: &Image,
    router: &str,
    folder: &Path,
) -> Result<PreparedNode> {
    let RunningHolder { process, setting } = holder::start(&host, holder, image, shows, folder)?;
    let address = host.address;
    host.file(
        "etc/maru/confidential-compute.toml",
        &format!(
            "url = \"https://{address}:8081\"\nmodels = [\"{MODEL}\"]\n\
             engine = \"{ENGINE_SOCKET}\"\n{setting}\n\
             router_com_uid = {ROUTER_COM}\n\n[router]\nurl = \"{router}\"\n"
        ),
    )?;
    let name = folder.file_name().and_then(|name| name.to_str()).context("a folder has a name")?;
    let anchor = holder::anchor(&host, holder, name, folder)?;
    Ok(PreparedNode { host, holder: process, anchor })
}

/// Starts the rest; nothing is waited for.
pub(super) fn start(
    measured: PreparedNode,
    responsible: &DeploymentFolder,
    model: &Path,
) -> Result<Node> {
    let PreparedNode { host, holder, .. } = measured;
    responsible.machine(&host, "node", ROUTER_COM, &["--role", "node"])?;
    host.directory("run/maru/confidential-boot", BOOT, ROUTER_COM, 0o2750)?;
    host.directory("run/maru/confidential-engine", ENGINE, BOOT, 0o2750)?;
    let model = host.instance.lend(model)?;
    let engine = [
        "--socket",
        &format!("{ROOT}/{ENGINE_SOCKET}"),
        "--alias",
        MODEL,
        "--model",
        &model,
        "--threads",
        "1",
    ];
    let engine = host.start("engine", ENGINE, "maru-llm", &engine)?;
    let boot = host.daemon("boot", BOOT, "maru-compute", "boot")?;
    let router_com = router_com(&host)?;
    Ok(Node { host, holder, engine, boot, router_com })
}

fn router_com(host: &Host) -> Result<Process> {
    host.daemon("router-com", ROUTER_COM, "maru-compute", "router-com")
}

impl Node {
    pub(super) fn come_back(&mut self) -> Result<()> {
        self.router_com = router_com(&self.host)?;
        self.host.wait_for_port(8081, "router-com", &mut self.router_com)
    }

    /// How many replies its engine is making.
    ///
    /// # Errors
    ///
    /// The engine does not answer.
    pub fn busy_slots(&self) -> Result<usize> {
        let stream = UnixStream::connect(self.host.path(ENGINE_SOCKET))?;
        let slots = http::request(stream, "GET", "/slots", "localhost", &[], None)?.json()?;
        let slots = slots.as_array().context("no slots")?;
        Ok(slots.iter().filter(|slot| slot["is_processing"] == true).count())
    }

    /// Waits until it can answer.
    pub(super) fn wait(&mut self) -> Result<()> {
        let Self { host, engine, boot, router_com, .. } = self;
        let socket = host.path("run/maru/confidential-boot/boot.sock");
        host.wait("boot", boot, || socket.exists())?;
        host.wait_for_port(8081, "router-com", router_com)?;
        let socket = host.path(ENGINE_SOCKET);
        host.wait("engine", engine, || is_ready(&socket))
    }
}

fn is_ready(engine: &Path) -> bool {
    let ask = |stream| http::request(stream, "GET", "/health", "localhost", &[], None);
    let answer = UnixStream::connect(engine).map(ask);
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200))
}
