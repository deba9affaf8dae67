//! Endpoint discovery: the machine's addresses, configured ones, those that STUN sees, and the home's router.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use control_protocol::map::{DerpMap, DerpNode};
use derp::stun;
use node_agent_api::EndpointKind;
use node_agent_core::endpoint::is_usable;
use tokio::{sync::mpsc, time::timeout};
use wireguard_device::{Device, LocalPorts};

use crate::{
    agent::{Agent, EndpointReport, replace},
    home,
    link::Link,
};

/// Interval of discovery; it also keeps a NAT's mapping alive.
const ROUND: Duration = Duration::from_secs(25);
/// Timeout of STUN responses.
const STUN_WAIT: Duration = Duration::from_secs(1);
/// Rounds without a STUN response before the old result is dropped.
const STUN_ROUNDS: u32 = 3;
/// STUN regions asked in one round.
const STUN_REGIONS: usize = 3;
/// Most endpoints that are reported.
const MAX: usize = 16;

/// The protocol's endpoint types.
const LOCAL: i64 = 1;
pub(crate) const STUN: i64 = 2;
const PORT_MAPPED: i64 = 3;
const ROUTER: i64 = 4;
const CONFIGURED: i64 = 5;

/// A datagram that is not WireGuard.
pub(crate) type ForeignDatagram = (SocketAddr, Vec<u8>);

/// Context of endpoint discovery.
pub(crate) struct Discovery {
    /// The agent.
    pub(crate) agent: Arc<Agent>,
    /// Sends from the sockets whose endpoints are discovered.
    pub(crate) device: Weak<Device>,
    /// Lists this machine's addresses.
    pub(crate) link: Arc<Link>,
}

/// Keeps [`Agent::report`] current.
pub(crate) async fn run(discovery: Discovery, mut answers: mpsc::Receiver<ForeignDatagram>) {
    let mut home = discovery.agent.home.subscribe();
    let mut maps = discovery.agent.netmap.subscribe();
    let mut changes = discovery.agent.network_changes.subscribe();
    let mut ports = discovery.agent.router.subscribe();
    let mut mapped = StunAddresses::default();
    loop {
        let relays = maps.borrow_and_update().relays.clone();
        home.mark_unchanged();
        ports.mark_unchanged();
        let seen = discovery.ask(&relays, &mut answers).await;
        mapped.note(seen);
        discovery.report(&mapped).await;
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            // What STUN saw from the former network is no address of this one.
            _ = changes.changed() => mapped = StunAddresses::default(),
            _ = home.changed() => {}
            _ = ports.changed() => {}
            () = async { while maps.changed().await.is_ok() && maps.borrow_and_update().relays == relays {} } => {}
        }
    }
}

/// The last results of STUN.
#[derive(Debug, Default)]
struct StunAddresses {
    addresses: Vec<SocketAddr>,
    rounds: u32,
}

impl StunAddresses {
    /// Takes the results of a round; one lost datagram removes no endpoint.
    fn note(&mut self, seen: Vec<SocketAddr>) {
        self.rounds = if seen.is_empty() { self.rounds + 1 } else { 0 };
        if !seen.is_empty() || self.rounds >= STUN_ROUNDS {
            self.addresses = seen;
        }
    }
}

impl Discovery {
    async fn report(&self, mapped: &StunAddresses) {
        let Some(ports) = self.device.upgrade().map(|device| device.local_ports()) else { return };
        let local = self.link.machine_addresses().await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "no local endpoints");
            Vec::new()
        });
        let home = self.agent.home.borrow().as_ref().map(|home| home.region);
        let router = home::outer_addresses(&self.agent, &local).await;
        let seen: Vec<_> =
            mapped.addresses.iter().map(SocketAddr::ip).chain(router.clone()).collect();
        let forwarded = self.agent.router.borrow().endpoint(&seen).map(SocketAddr::from);
        let configured = &self.agent.config.settings.endpoints;
        let endpoints = collect(&local, &router, ports, &mapped.addresses, (configured, forwarded));
        if let Some(device) = self.device.upgrade() {
            device.set_endpoints(endpoints.iter().map(|(address, _)| *address).collect());
        }
        let report = EndpointReport { endpoints, home };
        if replace(&self.agent.report, report.clone()) {
            tracing::debug!(?report, "endpoints changed");
        }
    }

    /// Asks the relays' STUN servers which addresses they see.
    async fn ask(
        &self,
        relays: &DerpMap,
        answers: &mut mpsc::Receiver<ForeignDatagram>,
    ) -> Vec<SocketAddr> {
        while answers.try_recv().is_ok() {}
        let mut asked = HashMap::new();
        for node in relays.regions.values().take(STUN_REGIONS).filter_map(|r| r.nodes.first()) {
            for address in stun_addresses(&self.agent, node).await {
                let mut transaction = stun::TransactionId::default();
                if getrandom::fill(&mut transaction).is_err() {
                    return Vec::new();
                }
                let sent =
                    self.device.upgrade().map(|d| d.send(address, &stun::request(transaction)));
                if let Some(Ok(())) = sent {
                    asked.insert(transaction, address);
                }
            }
        }
        let mut seen = Vec::new();
        let _ = timeout(STUN_WAIT, async {
            while !asked.is_empty() {
                let Some((from, datagram)) = answers.recv().await else { return };
                let Ok((transaction, mapped)) = stun::parse_response(&datagram) else { continue };
                if asked.get(&transaction).is_some_and(|to| same(*to, from)) {
                    asked.remove(&transaction);
                    seen.push(mapped);
                }
            }
        })
        .await;
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

/// The usable addresses of a relay's STUN server.
pub(crate) async fn stun_addresses(agent: &Agent, node: &DerpNode) -> Vec<SocketAddr> {
    let Some(port) = node.stun() else { return Vec::new() };
    let mut addresses: Vec<IpAddr> =
        [&node.ipv4, &node.ipv6].iter().filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        addresses = agent.forwarder.lookup(&node.host_name).await.unwrap_or_default();
    }
    let places = addresses.into_iter().map(|address| SocketAddr::new(address, port));
    places.filter(|place| is_usable(*place)).collect()
}

/// How an endpoint of this type was found.
pub(crate) fn kind(number: i64) -> EndpointKind {
    match number {
        STUN => EndpointKind::Stun,
        PORT_MAPPED => EndpointKind::PortMapped,
        ROUTER => EndpointKind::Router,
        CONFIGURED => EndpointKind::Configured,
        _ => EndpointKind::Local,
    }
}

/// Whether two addresses are equal; IPv4 may be mapped into IPv6.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

/// The endpoints to report, without unusable addresses: a STUN server may return anything.
fn collect(
    local: &[IpAddr],
    router: &[IpAddr],
    ports: LocalPorts,
    mapped: &[SocketAddr],
    (configured, forwarded): (&[SocketAddr], Option<SocketAddr>),
) -> Vec<(SocketAddr, i64)> {
    let mut endpoints: Vec<(SocketAddr, i64)> = Vec::new();
    let at_own_port = |address: &IpAddr| {
        let port = if address.is_ipv4() { Some(ports.v4) } else { ports.v6 }?;
        Some(SocketAddr::new(*address, port))
    };
    let local = local.iter().filter_map(at_own_port).map(|address| (address, LOCAL));
    let router = router.iter().filter_map(at_own_port).map(|address| (address, ROUTER));
    let configured = configured.iter().map(|address| (*address, CONFIGURED));
    let forwarded = forwarded.into_iter().map(|address| (address, PORT_MAPPED));
    let mapped = mapped.iter().map(|address| (*address, STUN));
    for endpoint in configured.chain(forwarded).chain(mapped).chain(router).chain(local) {
        if is_usable(endpoint.0) && !endpoints.iter().any(|(known, _)| *known == endpoint.0) {
            endpoints.push(endpoint);
        }
    }
    endpoints.truncate(MAX);
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_reported_once_and_the_configured_first() {
        let ports = LocalPorts { v4: 41641, v6: None };
        let local = ["192.168.1.2".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        let mapped: [SocketAddr; 2] =
            ["203.0.113.1:7000".parse().unwrap(), "192.168.1.2:41641".parse().unwrap()];
        let configured = ["198.51.100.9:41641".parse().unwrap()];
        assert_eq!(
            collect(&local, &[], ports, &mapped, (&configured, None)),
            [(configured[0], CONFIGURED), (mapped[0], STUN), (mapped[1], STUN)]
        );
    }

    #[test]
    fn no_address_of_the_mesh_or_of_this_machine_is_reported() {
        let ports = LocalPorts { v4: 41641, v6: Some(41641) };
        let local = ["100.64.0.1", "127.0.0.1", "fd7a:115c:a1e0::1", "::1"];
        let mapped =
            ["100.64.0.1:41641", "127.0.0.1:7000", "[::ffff:100.64.0.1]:7000", "0.0.0.0:1"];
        let good = "203.0.113.1:7000".parse().unwrap();
        let mut mapped: Vec<SocketAddr> = mapped.map(|text| text.parse().unwrap()).into();
        mapped.push(good);
        assert_eq!(
            collect(&local.map(|text| text.parse().unwrap()), &[], ports, &mapped, (&[], None)),
            [(good, STUN)]
        );
    }

    #[test]
    fn the_routers_address_is_reported_with_the_own_port() {
        let ports = LocalPorts { v4: 41641, v6: None };
        let router = ["203.0.113.9".parse().unwrap(), "100.64.0.1".parse().unwrap()];
        let expected = ("203.0.113.9:41641".parse().unwrap(), ROUTER);
        assert_eq!(collect(&[], &router, ports, &[], (&[], None)), [expected]);
    }

    #[test]
    fn one_silent_round_takes_no_endpoint_away() {
        let mut mapped = StunAddresses::default();
        let seen = vec!["203.0.113.1:7000".parse().unwrap()];
        mapped.note(seen.clone());
        mapped.note(vec![]);
        assert_eq!(mapped.addresses, seen);
        mapped.note(vec![]);
        mapped.note(vec![]);
        assert!(mapped.addresses.is_empty());
    }
}
