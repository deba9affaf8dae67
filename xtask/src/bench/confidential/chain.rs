//! Our chain, running: relay, gateway, router, auth, nodes, and the model server behind them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    node::{Holder, Node, Prepared},
    ours::{self, DeploymentFolder, KEYS},
    plan::{CHUNKS, EXAMPLE, LONG, PARALLEL, REQUESTS, SEQUENTIAL},
};
use crate::bench::process::Running;

/// Nodes of each kind, which are a request's candidates.
const NODES: usize = 3;
/// What is started of `maru-confidential`, in this order.
const SERVERS: [&str; 4] = ["router", "gateway", "relay", "auth"];

/// All of it; dropping it ends every process.
#[derive(Debug)]
pub(super) struct Chain {
    dir: TempDir,
    nodes: Vec<Node>,
    servers: Vec<(&'static str, Running)>,
    _engine: Running,
    engine: SocketAddr,
    router: SocketAddr,
    relay: SocketAddr,
    auth: SocketAddr,
    pin: Value,
}

impl Chain {
    /// Starts it with three nodes of each kind.
    pub(super) fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let [engine, router, gateway, relay, auth] = ours::free()?;
        let own = DeploymentFolder::new(dir.path().join("own"))?;
        let root = dir.path().join("servers");
        for name in SERVERS {
            // What its certificate lets it do as a client of others.
            let role: &[&str] = match name {
                "gateway" | "router" => &["--role", name],
                _ => &[],
            };
            own.machine(&root, name, role)?;
        }
        let mut prepared = Vec::new();
        for holder in Holder::ALL {
            for number in 1..=NODES {
                let name = format!("{}-{number}", holder.model());
                prepared.push(Prepared::new(holder, &dir.path().join(name), engine, router)?);
            }
        }
        let anchors: Vec<Value> = prepared.iter().map(|node| node.anchor.clone()).collect();
        let policy = own.policy(&anchors, &Holder::ALL.map(Holder::image))?;
        fs::write(root.join(KEYS).join("policy.json"), policy)?;
        own.certify(&root, "bundle")?;
        own.certify(&root, "config")?;
        settings(&root, &own.identity, [router, gateway, relay, auth])?;

        let log = dir.path().join("engine.log");
        let mut command = Command::new(lab::binary(&format!("examples/{EXAMPLE}"))?);
        let mut model = Running::start(command.arg("engine").arg(engine.port().to_string()), &log)?;
        ours::listens(&mut model, &log, engine)?;
        let mut servers = Vec::new();
        for (name, address) in SERVERS.into_iter().zip([router, gateway, relay, auth]) {
            let mut server = ours::daemon(&root, "maru-confidential", name)?;
            ours::listens(&mut server, &root.join(format!("{name}.log")), address)?;
            servers.push((name, server));
        }
        let nodes = prepared.into_iter().map(|node| Node::start(&own, node));
        let nodes = nodes.collect::<Result<_>>()?;
        let pin = json!({ "identity": own.identity, "anchors": anchors });
        Ok(Self { dir, nodes, servers, _engine: model, engine, router, relay, auth, pin })
    }

    /// The models, one for each kind of node.
    pub(super) fn models(&self) -> impl Iterator<Item = &'static str> {
        Holder::ALL.into_iter().map(Holder::model)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("servers").join(KEYS).join(name)
    }

    /// Input of the example that sends requests.
    pub(super) fn measure(&self, model: &str) -> Value {
        json!({
            "engine": format!("http://{}", self.engine), "auth": format!("https://{}", self.auth),
            "relay": format!("https://{}", self.relay), "ca": self.file("ca.crt"), "pin": self.pin, "model": model,
            "sequential": SEQUENTIAL, "parallel": PARALLEL, "requests": REQUESTS, "chunks": CHUNKS, "long": LONG,
        })
    }

    /// Input of the example that verifies nodes: it is a client of the router, like the gateway.
    pub(super) fn verify(&self) -> Value {
        json!({
            "router": self.router, "ca": self.file("ca.crt"), "certificate": self.file("gateway.crt"),
            "key": self.file("gateway.key"), "pin": self.pin, "policy": self.file("policy.json"),
            "models": self.models().collect::<Vec<_>>(),
        })
    }

    /// Resident memory of each daemon in KiB; of nodes' the largest.
    pub(super) fn memory(&self) -> Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        for (name, server) in &self.servers {
            all.push(((*name).to_owned(), server.memory_kib("VmRSS")?));
        }
        let (mut boot, mut worker, mut router_com) = (0, 0, 0);
        for node in &self.nodes {
            let each = node.boot.each_memory_kib("VmRSS")?;
            let (own, workers) = each.split_first().context("boot is gone")?;
            boot = boot.max(*own);
            worker = worker.max(workers.iter().copied().max().unwrap_or(0));
            router_com = router_com.max(node.router_com.memory_kib("VmRSS")?);
        }
        all.extend(
            [("boot", boot), ("router-com", router_com), ("worker", worker)]
                .map(|(name, kib)| (name.to_owned(), kib)),
        );
        Ok(all)
    }
}

/// Writes the settings of router, gateway, relay and auth.
fn settings(root: &Path, identity: &str, at: [SocketAddr; 4]) -> Result<()> {
    let [router, gateway, relay, _] = at.map(|address| format!("https://{address}"));
    let settings = [
        String::new(),
        format!("names = [\"127.0.0.1\"]\n[router]\nurl = \"{router}\"\n"),
        format!("[gateway]\nurl = \"{gateway}\"\n"),
        format!(
            "identity = \"{identity}\"\nrelay_urls = [\"{relay}\"]\nrouter_url = \"{router}\"\n\
             [gateway]\nurl = \"{gateway}\"\n"
        ),
    ];
    for ((name, address), settings) in SERVERS.into_iter().zip(at).zip(settings) {
        let file = root.join(format!("etc/maru/confidential-{name}.toml"));
        fs::write(file, format!("listen = \"{address}\"\n{settings}"))?;
    }
    Ok(())
}
