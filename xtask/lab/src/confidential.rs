//! A deployment of the confidential chain on machines of its own (`docs/protocols/confidential.md`).
//!
//! ```text
//! home ── relay 3100 ── gateway 3200, router 3600 ── node 1, 2, 3: 8081
//!   └──── auth 8080 ──────┘
//! ```
//!
//! All are servers in [`crate::topology`]'s terms, and all hops are TLS under an authority that is made here. The
//! deployment's identity stays on the host of the lab, as it stays on no server elsewhere. The evidence is SIMULATED:
//! `maru-attester` stands in for security modules, `swtpm` for TPMs.

mod deployment;
mod holder;
mod host;
mod image;
mod measure;
mod node;
pub mod users;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context as _, Result, ensure};

use self::{
    deployment::DeploymentFolder,
    image::Image,
    users::{AUTH, GATEWAY, RELAY, ROUTER},
};
use crate::{Instance, Process, ROOT, STOP, topology::Topology};

pub use self::{
    host::Host,
    image::{Holder, MODEL, Measurement},
    node::Node,
};

/// The deployment, running; dropping it ends every process of it.
#[derive(Debug)]
pub struct Chain {
    /// The relay's machine.
    pub relay: Host,
    /// The machine of gateway and router.
    pub gateway: Host,
    /// The configuration's machine.
    pub auth: Host,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Relay, gateway, router, auth.
    pub servers: [Process; 4],
    responsible: DeploymentFolder,
    /// What the nodes' evidence ends in: a root, or an attestation key.
    anchors: Vec<PathBuf>,
}

impl Chain {
    /// Starts it: a node for each of `nodes`, with this model; everything it keeps is below `state`.
    ///
    /// # Errors
    ///
    /// A machine cannot be made, or a server does not start; the error holds what it said.
    pub fn start(
        topology: &mut Topology,
        state: &Path,
        model: &Path,
        nodes: &[(Holder, Measurement)],
    ) -> Result<Self> {
        let state = state.join("confidential");
        fs::create_dir_all(&state)?;
        let responsible = DeploymentFolder::new(&state.join("deployment"))?;
        let mut host = |name: &str| Host::new(topology, &state, name);
        let [relay, gateway, auth] = [host("relay")?, host("gateway")?, host("auth")?];
        let image = Image::measure(&state, model)?;
        let router = format!("https://{}:3600", gateway.address);
        let mut measured = Vec::new();
        for (at, node) in (1..).zip(nodes) {
            let host = host(&format!("node{at}"))?;
            // Each has an anchor of its own.
            let folder = state.join(format!("lab{at}"));
            measured.push(node::measured(host, *node, &image, &router, &folder)?);
        }
        let anchors: Vec<_> = measured.iter().map(|node| node.anchor.clone()).collect();
        responsible.policy(&image, &anchors, &auth)?;
        let servers = serve(&responsible, &relay, &gateway, &auth)?;
        let nodes = measured.into_iter().map(|node| node::start(node, &responsible, model));
        let nodes = nodes.collect::<Result<_>>()?;
        let mut chain = Self { relay, gateway, auth, nodes, servers, responsible, anchors };
        chain.wait()?;
        Ok(chain)
    }

    /// Waits until every server listens and the router knows every node.
    fn wait(&mut self) -> Result<()> {
        let [relay, gateway, _, auth] = &mut self.servers;
        self.relay.wait_for_port(3100, "relay", relay)?;
        self.gateway.wait_for_port(3200, "gateway", gateway)?;
        self.auth.wait_for_port(8080, "auth", auth)?;
        for node in &mut self.nodes {
            node.wait()?;
        }
        self.wait_until_told(self.nodes.len())
    }

    /// Waits until the router was told so many times that a node lives.
    fn wait_until_told(&mut self, times: usize) -> Result<()> {
        let [_, _, router, _] = &mut self.servers;
        let gateway = &self.gateway;
        let told = || gateway.log("router").matches("a node registered").count();
        gateway.wait("router", router, || told() >= times)
    }

    /// The file of the authority that certifies its machines.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.responsible.authority
    }

    /// Stops a node's `router-com`, which unregisters the node.
    ///
    /// # Errors
    ///
    /// There is no such node, or it does not end in order.
    pub fn leave(&mut self, node: usize) -> Result<()> {
        let node = self.nodes.get_mut(node).context("no such node")?;
        let status = node.router_com.stop(STOP)?;
        ensure!(
            status.success(),
            "router-com ended with {status}: {}",
            node.host.log("router-com")
        );
        Ok(())
    }

    /// Starts again what [`Chain::leave`] stopped, and waits until the router knows the node.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn come_back(&mut self, node: usize) -> Result<()> {
        let told = self.gateway.log("router").matches("a node registered").count();
        self.nodes.get_mut(node).context("no such node")?.come_back()?;
        self.wait_until_told(told + 1)
    }

    /// Has a home ask this deployment, simulated as it is: `maru confidential add`.
    ///
    /// # Errors
    ///
    /// `maru` cannot be run.
    pub fn add(&self, home: &Instance) -> Result<Output> {
        fs::copy(&self.responsible.authority, home.root.join("ca.pem"))?;
        let mut anchors = Vec::new();
        for (at, anchor) in self.anchors.iter().enumerate() {
            let kind = anchor.extension().and_then(|it| it.to_str()).unwrap_or_default();
            let name = format!("lab{}.{kind}", at + 1);
            fs::copy(anchor, home.root.join(&name))?;
            anchors.extend(["--anchor".to_owned(), format!("{ROOT}/{name}")]);
        }
        let anchors: Vec<_> = anchors.iter().map(String::as_str).collect();
        let more = &[
            "confidential",
            "add",
            MODEL,
            "--identity",
            &self.responsible.identity,
            "--auth",
            &format!("{}:8080", self.auth.address),
            "--relay",
            &format!("{}:3100", self.relay.address),
            "--ca",
            &format!("{ROOT}/ca.pem"),
            "--simulated",
        ];
        home.run(&[&more[..], &anchors].concat())
    }
}

/// Certifies and starts relay, gateway, router and auth.
fn serve(
    responsible: &DeploymentFolder,
    relay: &Host,
    gateway: &Host,
    auth: &Host,
) -> Result<[Process; 4]> {
    let all = [
        (relay, "relay", RELAY),
        (gateway, "gateway", GATEWAY),
        (gateway, "router", ROUTER),
        (auth, "auth", AUTH),
    ];
    for (host, name, uid) in all {
        let role: &[&str] = match name {
            "gateway" | "router" => &["--role", name],
            _ => &[],
        };
        responsible.machine(host, name, uid, role)?;
    }
    for (host, kind, name, uid) in
        [(gateway, "bundle", "gateway", GATEWAY), (auth, "config", "auth", AUTH)]
    {
        responsible.certify(host, kind, uid)?;
        host.directory(&format!("var/lib/maru/confidential-{name}"), uid, uid, 0o700)?;
    }
    deployment::settings(&responsible.identity, relay, gateway, auth)?;
    let [relay, gateway, router, auth] =
        all.map(|(host, name, uid)| host.daemon(name, uid, "maru-confidential", name));
    Ok([relay?, gateway?, router?, auth?])
}
