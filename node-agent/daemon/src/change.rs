//! Notices that this machine's network changed, or that it slept.
//!
//! The kernel reports links, addresses and routes by netlink; a report that changes no address and no way out is ignored.
//! `Instant` stands still while a machine sleeps, so sleep is noticed by `CLOCK_BOOTTIME`. Each change counts up
//! [`Agent::network_changes`], at most once in [`PAUSE`], whatever the network around does: relays and coordinator are dialled
//! again, endpoints are discovered and paths probed anew.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use common::mesh;
use futures_util::{StreamExt as _, TryStreamExt as _};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
        link::LinkAttribute,
        route::{RouteAttribute, RouteMessage, RouteType},
    },
};
use tokio::time::sleep;

use crate::{agent::Agent, clock::since_boot, link::address_of};

/// How long reports are collected: one change makes many.
const COLLECT: Duration = Duration::from_millis(200);
/// Shortest time between two changes.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause before netlink is opened again after an error.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the clock is read.
const LOOK: Duration = Duration::from_secs(1);
/// When so much time has passed since the last look, the machine or this process did not run: connections may be lost.
const SLEPT: Duration = Duration::from_secs(10);

/// What the kernel reports.
const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// Counts changes until it is dropped. `interface` is the tunnel's, which does not count.
pub(crate) async fn watch(agent: Arc<Agent>, interface: String) {
    tokio::join!(watch_network(&agent, &interface), watch_clock(&agent));
}

async fn watch_network(agent: &Agent, interface: &str) {
    let mut known = None;
    loop {
        if let Err(error) = follow(interface, &mut known, || announce(agent)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "changes of the network are not noticed for a moment");
        }
        sleep(AGAIN).await;
    }
}

/// Follows the kernel's reports until netlink fails. `known` is the network as it was last read: what changes between two calls
/// is announced, too.
async fn follow(
    interface: &str,
    known: &mut Option<Network>,
    announce: impl Fn(),
) -> Result<(), rtnetlink::Error> {
    let (connection, handle, mut reports) = rtnetlink::new_multicast_connection(&GROUPS)
        .map_err(|error| rtnetlink::Error::NamespaceError(error.to_string()))?;
    let _connection = AbortOnDrop(tokio::spawn(connection));
    loop {
        let network = Network::read(&handle, interface).await?;
        let has_changed = known.as_ref().is_some_and(|known| *known != network);
        *known = Some(network);
        if has_changed {
            tracing::info!("the network changed: connecting again");
            announce();
            sleep(PAUSE).await;
        }
        if reports.next().await.is_none() {
            return Ok(());
        }
        sleep(COLLECT).await;
        while reports.try_recv().is_ok() {}
    }
}

async fn watch_clock(agent: &Agent) {
    let mut last = since_boot();
    loop {
        sleep(LOOK).await;
        let now = since_boot();
        let passed = now.saturating_sub(last);
        last = now;
        if passed >= SLEPT {
            tracing::info!(seconds = passed.as_secs(), "woke up: connecting again");
            announce(agent);
        }
    }
}

fn announce(agent: &Agent) {
    agent.network_changes.send_modify(|count| *count = count.wrapping_add(1));
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// This machine's addresses and its ways out, without the tunnel's.
#[derive(Debug, PartialEq, Eq)]
struct Network {
    addresses: BTreeSet<(u32, IpAddr)>,
    /// Routes through a gateway, and default routes.
    routes: Vec<RouteMessage>,
}

impl Network {
    async fn read(handle: &Handle, interface: &str) -> Result<Self, rtnetlink::Error> {
        let links: Vec<_> = handle.link().get().execute().try_collect().await?;
        let is_named = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name == interface);
        let own = links.iter().find(|link| link.attributes.iter().any(is_named));
        let own = own.map(|link| link.header.index);
        let list: Vec<_> = handle.address().get().execute().try_collect().await?;
        let is_own = |address: &AddressMessage| Some(address.header.index) == own;
        let addresses =
            list.iter().filter(|address| !is_own(address)).filter_map(address).collect();
        let mut routes = Vec::new();
        for request in [
            RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
            RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
        ] {
            let mut list = handle.route().get(request).execute();
            while let Some(message) = list.try_next().await? {
                routes.extend(way_out(message, own));
            }
        }
        Ok(Self { addresses, routes })
    }
}

/// An address that others may send to.
fn address(message: &AddressMessage) -> Option<(u32, IpAddr)> {
    let is_tentative = |attribute: &AddressAttribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Tentative));
    let is_usable = message.header.scope == AddressScope::Universe
        && !message.attributes.iter().any(is_tentative);
    let address = address_of(message).filter(|address| is_usable && !mesh::contains(*address))?;
    Some((message.header.index, address))
}

/// A route that leads out of this machine's own networks and not into the tunnel, without its statistics.
fn way_out(mut message: RouteMessage, own: Option<u32>) -> Option<RouteMessage> {
    message.attributes.retain(|attribute| {
        !matches!(attribute, RouteAttribute::CacheInfo(_) | RouteAttribute::Metrics(_))
    });
    let is_into_tunnel = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Oif(index) if Some(*index) == own);
    let has_gateway = |attribute: &RouteAttribute| {
        matches!(
            attribute,
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_)
        )
    };
    let leads_out =
        message.header.destination_prefix_length == 0 || message.attributes.iter().any(has_gateway);
    let is_way = message.header.kind == RouteType::Unicast
        && leads_out
        && !message.attributes.iter().any(is_into_tunnel);
    is_way.then_some(message)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use testkit::eventually;

    use super::*;

    #[tokio::test]
    async fn what_changed_while_netlink_failed_is_announced() {
        let gone = BTreeSet::from([(u32::MAX, IpAddr::from([192, 0, 2, 1]))]);
        let mut known = Some(Network { addresses: gone, routes: Vec::new() });
        let announced = Cell::new(0);
        tokio::select! {
            ended = follow("maru0", &mut known, || announced.set(announced.get() + 1)) => {
                panic!("{ended:?}")
            }
            () = eventually("the change is announced", async || announced.get() == 1) => {}
        }
        assert!(known.is_some_and(|it| it.addresses.iter().all(|(link, _)| *link != u32::MAX)));
    }
}
