//! A node: the stand-in for its security module, `maru-compute`, and its engine.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
};

use anyhow::{Context as _, Result};

use super::{
    MODEL,
    deployment::Responsible,
    host::Host,
    image::{Image, Shows},
    users::{BOOT, ENGINE, ROUTER_COM},
};
use crate::{Process, ROOT, http};

/// Where the stand-in for `/dev/nsm` listens, below the root.
const NSM: &str = "run/nsm/nsm.sock";

/// Where the engine listens, below the root.
const ENGINE_SOCKET: &str = "run/maru/confidential-engine/llm.sock";

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    /// Where.
    pub host: Host,
    /// Signs what it is told to be measured.
    pub attester: Process,
    /// Answers prompts.
    pub engine: Process,
    /// Holds the key, and starts the workers.
    pub boot: Process,
    /// Faces the router; to stop it takes the node away.
    pub router_com: Process,
}

/// Starts the stand-in, which makes the root in `anchor` if it is not there.
pub(super) fn attester(host: &Host, image: &Image, shows: Shows, anchor: &Path) -> Result<Process> {
    host.directory("run/nsm", 0, 0, 0o755)?;
    let mut registers = Vec::new();
    for (at, register) in image.registers(shows).into_iter().enumerate() {
        registers.push("--pcr".to_owned());
        registers.push(format!("{at}={register}"));
    }
    // As root, like the kernel's driver.
    let mut command = host.instance.program("maru-attester");
    command.args(["--listen", &format!("{ROOT}/{NSM}"), "--root"]).arg(anchor).args(registers);
    let mut process = host.spawn("attester", command)?;
    let socket = host.path(NSM);
    host.wait("attester", &mut process, || socket.exists() && anchor.join("root.pem").exists())?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
    Ok(process)
}

/// Starts the rest; nothing is waited for.
pub(super) fn start(
    host: Host,
    attester: Process,
    responsible: &Responsible,
    router: &str,
    model: &Path,
) -> Result<Node> {
    let address = host.address;
    responsible.machine(&host, "node", ROUTER_COM, &["--node"])?;
    host.directory("run/maru/confidential-boot", BOOT, ROUTER_COM, 0o2750)?;
    host.directory("run/maru/confidential-engine", ENGINE, BOOT, 0o2750)?;
    host.file(
        "etc/maru/confidential-compute.toml",
        &format!(
            "url = \"https://{address}:8081\"\nmodels = [\"{MODEL}\"]\n\
             engine = \"{ENGINE_SOCKET}\"\nnsm = \"{ROOT}/{NSM}\"\n\
             router_com_uid = {ROUTER_COM}\n\n[router]\nurl = \"{router}\"\n"
        ),
    )?;
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
    Ok(Node { host, attester, engine, boot, router_com })
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
