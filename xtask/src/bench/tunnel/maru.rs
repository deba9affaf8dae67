//! Our agents, joined to a coordinator on the server's machine.

use std::{fs, net::IpAddr};

use anyhow::{Context as _, Result, ensure};
use lab::{Instance, Process};
use serde_json::Value;

use super::{
    bed::{TestBed, UnderlayKind},
    coordinator::{Coordinator, write},
    path::Tunnel,
};

/// What the agents make.
pub(super) const INTERFACE: &str = "maru0";

/// The agents' port (`listen_port` of `agent.toml`, by default).
pub(super) const PORT: u16 = 41641;

/// How the agents are set up, and among whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Agent {
    /// So many peers besides that never say anything.
    pub(super) silent: u32,
    /// The offloads that are allowed; none: the agent's own choice.
    pub(super) offload: Option<Vec<String>>,
}

/// Two agents, of which each knows the other, and maybe silent ones.
#[derive(Debug)]
pub(super) struct Maru {
    server: IpAddr,
    /// The server's, then the client's.
    agents: [Process; 2],
    instances: [Instance; 2],
    /// How many peers each has, the silent ones included.
    peers: usize,
    _coordinator: Coordinator,
}

impl Maru {
    /// Starts them, and has them join.
    pub(super) fn open(bed: &TestBed) -> Result<Self> {
        Self::open_with(bed, &Agent::default())
    }

    /// The same, set up otherwise.
    pub(super) fn open_with(bed: &TestBed, settings: &Agent) -> Result<Self> {
        let coordinator = Coordinator::start_with(bed, settings.silent)?;
        let client = Instance::new(&bed.client, &bed.state().join("client"))?;
        let instances = [coordinator.instance.clone(), client];
        let start = |instance| -> Result<Process> {
            let offload = settings.offload.as_ref();
            let more = offload.map_or_else(String::new, |names| format!("offload = {names:?}\n"));
            agent(&coordinator, instance, &coordinator.key()?, &more)
        };
        let [server, client] = instances.each_ref().map(start);
        let agents = [server?, client?];
        let status = instances[0].status()?;
        let address =
            status["node"]["addresses"][0].as_str().context("the server's node has no address")?;
        let server = address.parse()?;
        let peers = usize::try_from(settings.silent)? + 1;
        Ok(Self { server, agents, instances, peers, _coordinator: coordinator })
    }

    /// The public key of the server's agent.
    pub(super) fn server_key(&self) -> Result<[u8; 32]> {
        let status = self.instances[0].status()?;
        let key = status["node"]["node_key"].as_str().unwrap_or_default();
        let digits = key.strip_prefix("nodekey:").context("the status has no node key")?;
        Ok(hex::decode(digits)?.as_slice().try_into()?)
    }
}

impl Tunnel for Maru {
    fn server(&self) -> IpAddr {
        self.server
    }

    fn interfaces(&self) -> [&str; 2] {
        [INTERFACE; 2]
    }

    fn processes(&self) -> Vec<u32> {
        self.agents.iter().map(Process::pid).collect()
    }

    fn offloads(&self) -> Result<Option<Vec<String>>> {
        let status = self.instances[0].status()?;
        let names = status["offload"].as_array();
        Ok(names.map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
    }

    fn check(&self, bed: &TestBed) -> Result<()> {
        for (instance, at) in self.instances.iter().zip([1, 0]) {
            let other = self.instances[at].machine.name();
            let path = path(&instance.status()?, other, self.peers)?;
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

/// Starts an agent with these settings besides, which joins with this key.
pub(super) fn agent(
    coordinator: &Coordinator,
    instance: &Instance,
    key: &str,
    more: &str,
) -> Result<Process> {
    // Names are not looked up here, and nobody's resolver is changed.
    let text = format!("interface = {INTERFACE:?}\ndns = \"off\"\n{more}");
    write(instance, "etc/maru/agent.toml", &text)?;
    let agent = instance.agent().with_context(|| {
        let log = fs::read_to_string(instance.root.join("agent.log")).unwrap_or_default();
        log.lines().last().unwrap_or("the agent said nothing").to_owned()
    })?;
    let name = instance.machine.name();
    instance.ok(&["join", &coordinator.url, "--key", key, "--hostname", name])?;
    Ok(agent)
}

/// How the agent reaches the peer of this name, of so many peers.
fn path(status: &Value, name: &str, count: usize) -> Result<String> {
    let peers = status["peers"].as_array().context("the status names no peers")?;
    ensure!(peers.len() == count, "the agent has {} peers, not {count}", peers.len());
    let peer = peers.iter().find(|peer| peer["name"] == name);
    let peer = peer.with_context(|| format!("the agent has no peer {name}"))?;
    Ok(peer["path"].as_str().context("the status names no path")?.to_owned())
}

/// Whether a path in the status leads to this end of the cable.
fn is_on(path: &str, outside: UnderlayKind, address: IpAddr) -> bool {
    match outside {
        UnderlayKind::Ipv4 | UnderlayKind::Ipv6 => path
            .strip_prefix("direct ")
            .and_then(|to| to.parse::<std::net::SocketAddr>().ok())
            .is_some_and(|to| to.ip() == address),
        UnderlayKind::Relay => path == "relay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayed_path_is_not_direct() {
        let [_, client] = UnderlayKind::Relay.addresses();
        assert!(is_on("relay", UnderlayKind::Relay, client));
        assert!(!is_on("direct 10.99.0.2:41641", UnderlayKind::Relay, client));
    }

    #[test]
    fn a_direct_path_leads_to_the_other_end_of_the_cable() {
        let [_, client] = UnderlayKind::Ipv4.addresses();
        assert!(is_on("direct 10.99.0.2:41641", UnderlayKind::Ipv4, client));
        for path in ["direct 10.99.0.3:41641", "relay", "none", "direct [fd99::2]:41641"] {
            assert!(!is_on(path, UnderlayKind::Ipv4, client), "{path}");
        }
        let [_, client] = UnderlayKind::Ipv6.addresses();
        assert!(is_on("direct [fd99::2]:41641", UnderlayKind::Ipv6, client));
    }
}
