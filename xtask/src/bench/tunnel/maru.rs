//! Our agents, joined to a coordinator on the server's machine.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{Instance, Process};
use serde_json::Value;

use super::{
    bed::{Bed, Outside},
    coordinator::{Coordinator, write},
    path::Tunnel,
};

/// What the agents make.
const INTERFACE: &str = "maru0";

/// Two agents, each the other's only peer.
#[derive(Debug)]
pub(super) struct Maru {
    server: IpAddr,
    /// The server's, then the client's.
    agents: [Process; 2],
    instances: [Instance; 2],
    _coordinator: Coordinator,
}

impl Maru {
    /// Starts them, and has them join.
    pub(super) fn open(bed: &Bed) -> Result<Self> {
        let coordinator = Coordinator::start(bed)?;
        let client = Instance::new(&bed.client, &bed.state().join("client"))?;
        let instances = [coordinator.instance.clone(), client];
        let [server, client] = instances.each_ref().map(|instance| agent(&coordinator, instance));
        let agents = [server?, client?];
        let status = instances[0].status()?;
        let address =
            status["node"]["addresses"][0].as_str().context("the server's node has no address")?;
        let server = address.parse()?;
        Ok(Self { server, agents, instances, _coordinator: coordinator })
    }
}

impl Tunnel for Maru {
    fn server(&self) -> IpAddr {
        self.server
    }

    fn interface(&self) -> &str {
        INTERFACE
    }

    fn processes(&self) -> Vec<u32> {
        self.agents.iter().map(Process::pid).collect()
    }

    fn check(&self, bed: &Bed) -> Result<()> {
        for (instance, at) in self.instances.iter().zip([1, 0]) {
            let path = path(&instance.status()?)?;
            let address = bed.outside.addresses()[at];
            ensure!(
                is_on(&path, bed.outside, address),
                "the path of {}'s agent is {path:?}, not {}",
                instance.machine.name(),
                bed.outside
            );
        }
        Ok(())
    }
}

/// Starts an agent, which joins.
fn agent(coordinator: &Coordinator, instance: &Instance) -> Result<Process> {
    // Names are not looked up here, and nobody's resolver is changed.
    let settings = format!("interface = {INTERFACE:?}\ndns = \"off\"\n");
    write(instance, "etc/maru/agent.toml", &settings)?;
    let agent = instance.agent()?;
    let name = instance.machine.name();
    instance.ok(&["join", &coordinator.url, "--key", &coordinator.key()?, "--hostname", name])?;
    Ok(agent)
}

/// How the agent reaches its only peer.
fn path(status: &Value) -> Result<String> {
    let peers = status["peers"].as_array().context("the status names no peers")?;
    ensure!(peers.len() == 1, "the agent has {} peers", peers.len());
    Ok(peers[0]["path"].as_str().context("the status names no path")?.to_owned())
}

/// Whether a path, as the status tells it, leads to this end of the cable.
fn is_on(path: &str, outside: Outside, address: IpAddr) -> bool {
    match outside {
        Outside::Ipv4 | Outside::Ipv6 => path
            .strip_prefix("direct ")
            .and_then(|to| to.parse::<std::net::SocketAddr>().ok())
            .is_some_and(|to| to.ip() == address),
        Outside::Relay => path == "relay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayed_path_is_not_direct() {
        let [_, client] = Outside::Relay.addresses();
        assert!(is_on("relay", Outside::Relay, client));
        assert!(!is_on("direct 10.99.0.2:41641", Outside::Relay, client));
    }

    #[test]
    fn a_direct_path_leads_to_the_other_end_of_the_cable() {
        let [_, client] = Outside::Ipv4.addresses();
        assert!(is_on("direct 10.99.0.2:41641", Outside::Ipv4, client));
        for path in ["direct 10.99.0.3:41641", "relay", "none", "direct [fd99::2]:41641"] {
            assert!(!is_on(path, Outside::Ipv4, client), "{path}");
        }
        let [_, client] = Outside::Ipv6.addresses();
        assert!(is_on("direct [fd99::2]:41641", Outside::Ipv6, client));
    }
}
