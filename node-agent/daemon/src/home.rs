//! The machine on which the coordinator runs, behind its router or not.
//!
//! Its agent joined by a loopback address, and `maru up` published under its node where devices reach the coordinator. Both are
//! needed: a coordinator elsewhere makes no machine its home.

use std::net::{IpAddr, Ipv4Addr};

use control_protocol::map::{DerpMap, DerpNode, OWN_REGION, SERVER_URL};
use coordinator_api::invitation::ServerUrl;

use crate::agent::Agent;

/// Where devices reach the coordinator of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HomeServer {
    /// The address for devices.
    pub(crate) public: ServerUrl,
    /// The TCP port on this machine.
    pub(crate) port: u16,
}

/// The coordinator of this machine; `None` if it runs elsewhere.
pub(crate) fn server(agent: &Agent) -> Option<HomeServer> {
    let joined = ServerUrl::parse(&agent.membership()?.server_url).ok()?;
    let is_here = joined.host().parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let netmap = agent.netmap.borrow().clone();
    let public = ServerUrl::parse(netmap.own_capability(SERVER_URL)?).ok()?;
    is_here.then(|| HomeServer { public, port: joined.port() })
}

/// The addresses at which devices reach this machine's coordinator and that this machine does not have itself: its router's.
/// Empty where no router is between, or the coordinator runs elsewhere.
pub(crate) async fn outer_addresses(agent: &Agent, own: &[IpAddr]) -> Vec<IpAddr> {
    let Some(HomeServer { public, .. }) = server(agent) else { return Vec::new() };
    let addresses = match public.host().parse() {
        Ok(address) => vec![address],
        Err(_) => agent.forwarder.lookup(public.host()).await.unwrap_or_default(),
    };
    // Where one of them is this machine's, devices reach it without a router.
    let is_direct = addresses.iter().any(|address| own.contains(address));
    if is_direct { Vec::new() } else { addresses }
}

/// The relay of this machine in the map.
pub(crate) fn relay(map: &DerpMap) -> Option<&DerpNode> {
    map.regions.get(&OWN_REGION)?.nodes.first()
}

/// The TCP ports at which devices reach a coordinator, and the relay beside it.
pub(crate) fn tcp_ports(coordinator: &ServerUrl, map: &DerpMap) -> Vec<u16> {
    let mut ports = vec![coordinator.port()];
    // An embedded relay is on the coordinator's port.
    ports.extend(relay(map).map(DerpNode::port).filter(|port| *port != coordinator.port()));
    ports
}

/// The relays as this machine reaches them: its own by loopback first, since few routers lead back in who calls their outer
/// address from inside. The relay proves its identity there, too.
pub(crate) fn relays(agent: &Agent, map: &DerpMap) -> DerpMap {
    let mut map = map.clone();
    if server(agent).is_some()
        && let Some(region) = map.regions.get_mut(&OWN_REGION)
        && let Some(node) = region.nodes.first()
    {
        let ipv4 = Ipv4Addr::LOCALHOST.to_string();
        let near = DerpNode { ipv4, ipv6: "none".to_owned(), ..node.clone() };
        region.nodes.insert(0, near);
    }
    map
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use control_protocol::map::{DerpRegion, Node};
    use node_agent_core::netmap::{Naming, Netmap};
    use serde_json::json;

    use super::*;
    use crate::{
        config::{Config, Paths},
        state::{Membership, State},
    };

    /// An agent that joined there, and whose node has this capability.
    fn agent(root: &std::path::Path, joined: &str, published: Option<&str>) -> Agent {
        let cap_map = published.map(|url| (SERVER_URL.to_owned(), vec![json!(url)]));
        let node = Node { cap_map: cap_map.into_iter().collect(), ..Node::default() };
        let netmap = Netmap { node: Some(node), ..Netmap::default() };
        let agent =
            Agent::new(Config::default(), Paths::new(root), State::generate().unwrap(), netmap);
        agent.change_state(|state| {
            state.membership = Some(Membership {
                server_url: joined.to_owned(),
                noise_key: None,
                auth_key: None,
                ca: None,
                hostname: None,
                registered: true,
                naming: Naming::Open,
            });
        });
        agent
    }

    #[test]
    fn a_coordinator_elsewhere_makes_no_machine_its_home() {
        let root = tempfile::tempdir().unwrap();
        let server = |joined, published| server(&agent(root.path(), joined, published));
        let url = Some("https://home.example.org");

        let home = server("http://127.0.0.1:8443", url).unwrap();
        assert_eq!((home.port, home.public.port()), (8443, 443));
        assert_eq!(server("http://203.0.113.9:8443", url), None);
        assert_eq!(server("http://127.0.0.1:8443", None), None);
        assert_eq!(server("http://127.0.0.1:8443", Some("nonsense")), None);
    }

    #[tokio::test]
    async fn only_an_address_that_the_machine_does_not_have_is_its_routers() {
        let root = tempfile::tempdir().unwrap();
        let agent = agent(root.path(), "http://127.0.0.1:8443", Some("http://203.0.113.9:8443"));
        let outer = "203.0.113.9".parse().unwrap();
        let own = "192.168.1.2".parse().unwrap();
        assert_eq!(outer_addresses(&agent, &[own]).await, [outer]);
        assert!(outer_addresses(&agent, &[own, outer]).await.is_empty());
    }

    #[test]
    fn the_own_relay_is_reached_by_loopback_first_and_proves_itself_there_too() {
        let root = tempfile::tempdir().unwrap();
        let node = |ipv4: &str| DerpNode {
            ipv4: ipv4.to_owned(),
            cert_name: "sha256-raw:00".to_owned(),
            ..DerpNode::default()
        };
        let region = |ipv4: &str| DerpRegion { nodes: vec![node(ipv4)], ..DerpRegion::default() };
        let regions = BTreeMap::from([(1, region("203.0.113.9")), (900, region("192.0.2.1"))]);
        let map = DerpMap { regions, ..DerpMap::default() };
        let addresses = |map: &DerpMap, region| {
            let nodes = map.regions.get(&region).unwrap().nodes.iter();
            nodes.map(|node| (node.ipv4.clone(), node.cert_name.clone())).collect::<Vec<_>>()
        };
        let pinned = |ipv4: &str| (ipv4.to_owned(), "sha256-raw:00".to_owned());

        let url = Some("http://203.0.113.9:8443");
        let home = relays(&agent(root.path(), "http://127.0.0.1:8443", url), &map);
        assert_eq!(addresses(&home, 1), [pinned("127.0.0.1"), pinned("203.0.113.9")]);
        assert_eq!(addresses(&home, 900), [pinned("192.0.2.1")]);
        assert_eq!(relays(&agent(root.path(), "http://203.0.113.9:8443", url), &map), map);
    }
}
