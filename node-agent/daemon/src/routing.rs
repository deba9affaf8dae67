//! Routes to subnets behind other nodes and to the exit node: a routing table of our own, and the rules that lead to it.
//!
//! ```text
//!   marked (the agent's own sockets, `outside`) ──▶ main, default, or nowhere: never into the tunnel
//!   everything else ──▶ main without its default route: this machine's own networks, the mesh
//!                   ──▶ our table: accepted subnets; with an exit node a default route to the tunnel
//!                   ──▶ main, by the system's own rule
//! ```
//!
//! A network that this machine has a route to is thus never taken over. With an exit node the firewall, not these rules, keeps
//! packets from leaving outside the tunnel.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use common::route::EXIT;
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use node_agent_api::FORWARDING;
use node_agent_core::netmap::RouteChoice;
use rtnetlink::{
    Handle, IpVersion, RouteMessageBuilder,
    packet_route::{
        route::{RouteAttribute, RouteMessage},
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};
use services::Instance;

use crate::{
    config::Config,
    link::{self, Link, LinkError, is_exists},
    outside::MARK,
};

/// The kernel's tables.
pub(crate) const MAIN: u32 = 254;
const DEFAULT: u32 = 253;
/// The rules of one address family.
const RULES: u32 = 5;

/// Lets the kernel's check of return paths see the mark of our packets' answers.
const MARKED_RETURN_PATHS: &str = "/proc/sys/net/ipv4/conf/all/src_valid_mark";

/// The rules and routes of one instance.
pub(crate) struct Routing {
    handle: Handle,
    index: u32,
    table: u32,
    priority: u32,
    current: Mutex<Routes>,
}

/// What is set: routes with their source addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Routes {
    has_rules: bool,
    own: Vec<IpAddr>,
    nets: Vec<IpNet>,
}

impl Routing {
    /// The rules and routes to the interface `link`, without any yet: removes what a crash left.
    pub(crate) async fn start(link: &Link, instance: &Instance) -> Result<Self, LinkError> {
        let (handle, index) = link.netlink();
        let routing = Self::of(handle, index, instance);
        routing.clear().await?;
        Ok(routing)
    }

    fn of(handle: Handle, index: u32, instance: &Instance) -> Self {
        let (table, priority) = (instance.routing_table(), instance.rule_priority());
        Self { handle, index, table, priority, current: Mutex::default() }
    }

    /// Sets the routes for a node with the mesh addresses `own`. With an exit node there is a default route also while it is
    /// away, so that packets do not look for another way.
    pub(crate) async fn set(
        &self,
        choice: &RouteChoice,
        own: &[IpAddr],
        mut nets: Vec<IpNet>,
    ) -> Result<(), LinkError> {
        if choice.exit_node.is_some() {
            nets.extend(EXIT);
        }
        nets.sort_unstable();
        nets.dedup();
        let has_rules = choice.accepts_subnets || choice.exit_node.is_some();
        let wanted = Routes { has_rules, own: own.to_vec(), nets };
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if current == wanted {
            return Ok(());
        }
        for gone in current.nets.iter().filter(|net| !wanted.nets.contains(net)) {
            self.remove(gone).await?;
        }
        self.add(&wanted).await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        Ok(())
    }

    /// Sets again what another program may have removed.
    pub(crate) async fn put_back(&self) -> Result<(), LinkError> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.add(&current).await
    }

    /// Removes every rule and route, also those of an earlier process.
    pub(crate) async fn clear(&self) -> Result<(), LinkError> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Routes::default();
        for version in [IpVersion::V4, IpVersion::V6] {
            let rules: Vec<_> = self
                .handle
                .rule()
                .get(version.clone())
                .execute()
                .try_collect()
                .await
                .map_err(refused("list the rules of routing"))?;
            for rule in rules.into_iter().filter(|rule| self.is_ours(rule)) {
                let removed = self.handle.rule().del(rule).execute().await;
                removed.map_err(refused("remove a rule of routing"))?;
            }
            for route in self.routes(&version).await? {
                let removed = self.handle.route().del(route).execute().await;
                removed.map_err(refused("remove a route"))?;
            }
        }
        Ok(())
    }

    /// The routes of our table.
    async fn routes(&self, version: &IpVersion) -> Result<Vec<RouteMessage>, LinkError> {
        let any = match version {
            IpVersion::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            IpVersion::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let is_ours =
            |route: &RouteMessage| route.attributes.contains(&RouteAttribute::Table(self.table));
        let all: Vec<_> = self
            .handle
            .route()
            .get(any)
            .execute()
            .try_collect()
            .await
            .map_err(refused("list the routes"))?;
        Ok(all.into_iter().filter(is_ours).collect())
    }

    fn is_ours(&self, rule: &RuleMessage) -> bool {
        let has = |attribute| rule.attributes.contains(&attribute);
        let mut priorities = self.priority..self.priority + RULES;
        priorities.any(|at| has(RuleAttribute::Priority(at)))
            && (has(RuleAttribute::FwMark(MARK))
                || has(RuleAttribute::SuppressPrefixLen(0))
                || has(RuleAttribute::Table(self.table)))
    }

    async fn add(&self, wanted: &Routes) -> Result<(), LinkError> {
        for net in &wanted.nets {
            let added = match route(net, &wanted.own, self.index, self.table) {
                Some(route) => self.handle.route().add(route).replace().execute().await,
                None => Ok(()),
            };
            match added {
                Err(error) if net.addr().is_ipv6() => {
                    tracing::debug!(%net, error = &error as &dyn std::error::Error, "no IPv6 route");
                }
                other => other.map_err(refused(&format!("add the route {net}")))?,
            }
        }
        // Last: until then, packets take the ways that they took before.
        for version in [IpVersion::V4, IpVersion::V6].into_iter().filter(|_| wanted.has_rules) {
            for number in (0..RULES).rev() {
                match self.add_rule(&version, number).await {
                    Err(error) if is_exists(&error) => {}
                    Err(error) if matches!(version, IpVersion::V6) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "no IPv6 rule");
                    }
                    other => other.map_err(refused("add a rule of routing"))?,
                }
            }
        }
        Ok(())
    }

    /// Adds a rule of those at the top of this file, the first of which has number 0.
    async fn add_rule(&self, version: &IpVersion, number: u32) -> Result<(), rtnetlink::Error> {
        let rule = self.handle.rule().add().priority(self.priority + number);
        let rule = match number {
            0 => rule.fw_mark(MARK).table_id(MAIN).action(RuleAction::ToTable),
            1 => rule.fw_mark(MARK).table_id(DEFAULT).action(RuleAction::ToTable),
            2 => rule.fw_mark(MARK).table_id(0).action(RuleAction::Unreachable),
            3 => {
                let mut rule = rule.table_id(MAIN).action(RuleAction::ToTable);
                rule.message_mut().attributes.push(RuleAttribute::SuppressPrefixLen(0));
                rule
            }
            _ => rule.table_id(self.table).action(RuleAction::ToTable),
        };
        match version {
            IpVersion::V4 => rule.v4().execute().await,
            IpVersion::V6 => rule.v6().execute().await,
        }
    }

    async fn remove(&self, net: &IpNet) -> Result<(), LinkError> {
        let Some(route) = route(net, &[], self.index, self.table) else { return Ok(()) };
        match self.handle.route().del(route).execute().await {
            Err(rtnetlink::Error::NetlinkError(_)) => Ok(()),
            other => other.map_err(refused(&format!("remove the route {net}"))),
        }
    }
}

/// A route to the interface with this index; `None` without a source address, unless it is only to be removed.
pub(crate) fn route(net: &IpNet, own: &[IpAddr], index: u32, table: u32) -> Option<RouteMessage> {
    let source = own.iter().find(|address| address.is_ipv4() == net.addr().is_ipv4());
    if source.is_none() && !own.is_empty() {
        return None;
    }
    Some(match net {
        IpNet::V4(net) => {
            let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(net.network(), net.prefix_len())
                .output_interface(index)
                .table_id(table);
            if let Some(IpAddr::V4(source)) = source {
                route = route.pref_source(*source);
            }
            route.build()
        }
        IpNet::V6(net) => {
            let mut route = RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(net.network(), net.prefix_len())
                .output_interface(index)
                .table_id(table);
            if let Some(IpAddr::V6(source)) = source {
                route = route.pref_source(*source);
            }
            route.build()
        }
    })
}

fn refused(what: &str) -> impl Fn(rtnetlink::Error) -> LinkError {
    let what = what.to_owned();
    move |source| LinkError::Refused { what: what.clone(), source }
}

/// Removes every rule and route that an agent of `instance` left, and its interface of WireGuard devices.
pub(crate) async fn clear(instance: &Instance) -> Result<(), LinkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Open)?;
    let connection = tokio::spawn(connection);
    let removed = link::remove(&handle, &instance.wireguard_interface()).await;
    let cleared = Routing::of(handle, 0, instance).clear().await;
    connection.abort();
    cleared.and(removed)
}

/// The kernel's setting by which it forwards packets to this network.
fn forwarding(net: &IpNet) -> &'static str {
    let [v4, v6] = FORWARDING;
    if net.addr().is_ipv4() { v4 } else { v6 }
}

/// Whether the kernel forwards packets to this network, or does not say.
pub(crate) fn is_forwarded(net: &IpNet) -> bool {
    let file = format!("/proc/sys/{}", forwarding(net).replace('.', "/"));
    std::fs::read_to_string(file).map_or(true, |state| state.trim() != "0")
}

/// Checks what the chosen routes need of the kernel, and says what is missing.
///
/// Forwarding is not switched on here: it makes a router of this machine for all its networks, and where it learned its IPv6
/// address from a router, may cut it off.
pub(crate) fn check_system(config: &Config) {
    let offered = &config.routes.offered;
    let off: BTreeSet<_> =
        offered.iter().filter(|net| !is_forwarded(net)).map(forwarding).collect();
    for setting in off {
        tracing::warn!(
            "this machine does not forward packets, so it routes for nobody: run `sysctl -w {setting}=1`"
        );
    }
    if config.routes.exit_node.is_some()
        && let Err(error) = std::fs::write(MARKED_RETURN_PATHS, "1")
    {
        tracing::debug!(%error, "{MARKED_RETURN_PATHS} is not set");
    }
}
