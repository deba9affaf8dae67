//! The tunnel: applies the map to device, interface, firewall, relays, resolver and services.
//!
//! It is set up when the agent starts, before there are peers and addresses, so that errors of this machine are reported at
//! once. It depends on the map in force, not on the coordinator.

use std::{
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::mesh::RESOLVER;
use ipnet::IpNet;
use node_agent_api::settings::{self, Dns};
use node_agent_core::{
    filter::{PacketFilter, Ranges},
    names::Zone,
    netmap::{Netmap, TunnelPeer, WireguardPlan},
};
use services::Instance;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use wireguard_device::{Config, Device, Host, Offload, Peer, offload::Feature};

use crate::{
    agent::{Agent, InterfaceState},
    dns::{Resolver, follow::Names, helper::Helper},
    endpoints::{self, ForeignDatagram},
    firewall::{self, Firewall, FirewallError, Scope},
    home, https,
    link::{self, Link, LinkError},
    outside, ports, probe,
    relay::Relays,
    routing::{self, Routing},
    service::{self, AccessSnapshot},
    wireguard::Router,
};

mod bridge;

use bridge::Bridge;

/// Largest packet inside the tunnel: IPv6's smallest, which fits every path.
const MTU: u16 = 1280;
/// Queue length of STUN responses.
const FOREIGN_QUEUE: usize = 64;
/// How often it is checked that the device runs, and that no peer's key has expired.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is checked whether programs still ask the agent. A change of the system's files is followed at the next look.
const CHECK: Duration = Duration::from_secs(20);

/// The tunnel cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error(transparent)]
    Device(#[from] wireguard_device::Error),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    #[error(
        "cannot listen on {RESOLVER}:53 (another resolver or Maru instance has it; set dns = \"off\" in agent.toml)"
    )]
    Dns(#[source] io::Error),
    #[error("cannot use the TUN device once more")]
    Tun(#[source] io::Error),
}

/// Names and resources of a tunnel.
#[derive(Debug)]
pub(crate) struct TunnelSetup {
    /// The interface's name.
    pub(crate) interface: String,
    /// The firewall table's name.
    pub(crate) table: String,
    /// The firewall since the first tunnel's start. It outlives a tunnel: the kill switch must not pause.
    pub(crate) firewall: OnceLock<Arc<Firewall>>,
    /// The instance, for the numbers of routing table and rules.
    pub(crate) instance: Instance,
    /// The TUN device that root opened.
    pub(crate) tun: Option<OwnedFd>,
    /// Another one, for WireGuard devices.
    pub(crate) wireguard_tun: Option<OwnedFd>,
    /// Whether the service manager has the TUN device, too: it keeps the interface over a restart.
    pub(crate) is_stored: bool,
    /// Leads programs to the agent's resolver.
    pub(crate) helper: Option<Arc<Helper>>,
}

impl TunnelSetup {
    /// The firewall, for a tunnel without addresses.
    fn firewall(&self, agent: &Agent) -> Result<Arc<Firewall>, FirewallError> {
        tokio::task::block_in_place(|| {
            if let Some(firewall) = self.firewall.get() {
                firewall.set(Scope::default())?;
                return Ok(Arc::clone(firewall));
            }
            let settings = &agent.config.settings;
            let wireguard = settings.wireguard.map(|_| self.instance.wireguard_interface());
            let restore = agent.paths.restore_command();
            let (table, interface) = (&self.table, &self.interface);
            let firewall =
                Firewall::install(table, interface, wireguard.as_deref(), settings, restore)?;
            Ok(Arc::clone(self.firewall.get_or_init(|| Arc::new(firewall))))
        })
    }

    /// The router of WireGuard devices, if the settings make this node one. Removes what a crash left.
    async fn wireguard(
        &self,
        agent: &Arc<Agent>,
        link: &Link,
        zone: &watch::Sender<Arc<Zone>>,
    ) -> Result<Option<Router>, TunnelError> {
        let (handle, _) = link.netlink();
        let interface = self.instance.wireguard_interface();
        link::remove(&handle, &interface).await?;
        if agent.config.settings.wireguard.is_none() {
            return Ok(None);
        }
        let tun = self.wireguard_tun.as_ref().map(OwnedFd::try_clone).transpose();
        let tun = tun.map_err(TunnelError::Tun)?;
        let names = [interface.as_str(), &self.interface];
        Ok(Some(Router::new(agent, handle, names, tun, zone.subscribe())))
    }

    /// See [`Firewall::release`].
    pub(crate) fn release(&self) {
        if let Some(firewall) = self.firewall.get() {
            firewall.release();
        }
    }
}

/// A running tunnel. Dropping it removes everything that it made, with the interface.
pub(crate) struct Tunnel {
    // In the order in which they must be dropped.
    tasks: JoinSet<()>,
    parts: Option<Parts>,
}

/// The parts that are set anew with each map.
struct Parts {
    agent: Arc<Agent>,
    names: Names,
    firewall: Arc<Firewall>,
    relays: Arc<Relays>,
    link: Arc<Link>,
    routing: Routing,
    wireguard: Option<Router>,
    device: Arc<Device>,
    zone: watch::Sender<Arc<Zone>>,
    /// Whether the peers of an interface that was taken over have heard that their sessions are lost.
    has_greeted: AtomicBool,
    access: watch::Sender<Arc<AccessSnapshot>>,
}

impl Tunnel {
    /// Sets up a tunnel for the agent's node key. On an error nothing is left behind but a kill switch.
    pub(crate) async fn start(
        agent: &Arc<Agent>,
        setup: &TunnelSetup,
    ) -> Result<Self, TunnelError> {
        let interface = setup.interface.as_str();
        let (foreign, answers) = mpsc::channel(FOREIGN_QUEUE);
        let bridge = Arc::new(Bridge::new(agent, foreign));
        let config = device_config(agent, interface);
        let tun =
            setup.tun.as_ref().map(OwnedFd::try_clone).transpose().map_err(TunnelError::Tun)?;
        let device = Arc::new(Device::start_on(tun, config, Arc::clone(&bridge) as Arc<dyn Host>)?);
        let firewall = setup.firewall(agent)?;
        let link = Arc::new(Link::up(interface, MTU).await?);
        let routing = Routing::start(&link, &setup.instance).await?;
        routing::check_system(&agent.config);
        let names = Names::new(agent, setup.helper.clone());
        let mut addresses = vec![RESOLVER.into()];
        if device.is_adopted() {
            // Connections go on: the interface keeps the addresses that the map on disk has.
            let own = agent.netmap.borrow().addresses();
            let scope = Scope { own: own.clone(), ..Scope::default() };
            tokio::task::block_in_place(|| firewall.set(scope))?;
            addresses.extend(own);
        }
        link.set_addresses(&addresses).await?;
        let zone = watch::Sender::new(Arc::default());
        let wireguard = setup.wireguard(agent, &link, &zone).await?;
        let mut tasks = JoinSet::new();
        let resolver = Resolver::start(zone.subscribe(), Arc::clone(&agent.forwarder)).await;
        match (resolver, agent.config.settings.dns) {
            (Ok(resolver), _) => {
                tasks.spawn(async move {
                    let _resolver = resolver;
                    std::future::pending().await
                });
            }
            (Err(error), Dns::Off) => tracing::info!(%error, "no resolver for the network's names"),
            (Err(error), Dns::Auto | Dns::SystemdResolved | Dns::Resolvconf | Dns::ResolvConf) => {
                return Err(TunnelError::Dns(error));
            }
        }
        let relays = Arc::new(bridge::relays(agent, &device, &bridge));
        let _ = bridge.relays.set(Arc::clone(&relays));
        agent.set_device(&device);
        let has_greeted = AtomicBool::new(!device.is_adopted());
        let parts = Parts {
            agent: Arc::clone(agent),
            names,
            firewall,
            relays,
            link,
            routing,
            wireguard,
            device,
            zone,
            has_greeted,
            access: watch::Sender::default(),
        };
        Ok(Self::run(tasks, parts, answers))
    }

    fn run(mut tasks: JoinSet<()>, parts: Parts, answers: mpsc::Receiver<ForeignDatagram>) -> Self {
        let setup = endpoints::Discovery {
            agent: Arc::clone(&parts.agent),
            device: Arc::downgrade(&parts.device),
            link: Arc::clone(&parts.link),
        };
        tasks.spawn(firewall::keep(Arc::clone(&parts.firewall)));
        let (agent, device) = (Arc::clone(&parts.agent), Arc::downgrade(&parts.device));
        tasks.spawn(ports::run(agent, device, Arc::clone(&parts.link)));
        tasks.spawn(endpoints::run(setup, answers));
        tasks.spawn(probe::run(Arc::clone(&parts.agent), Arc::clone(&parts.relays)));
        tasks.spawn(service::run(Arc::clone(&parts.agent), parts.access.subscribe()));
        tasks.spawn(https::run(Arc::clone(&parts.agent), parts.access.subscribe()));
        Self { tasks, parts: Some(parts) }
    }

    /// Applies each map. Returns only if another program removed the interface.
    pub(crate) async fn follow(&self) {
        let Some(parts) = &self.parts else { return };
        let mut maps = parts.agent.netmap.subscribe();
        let mut changes = parts.agent.network_changes.subscribe();
        let mut checked = Instant::now();
        loop {
            let netmap = Arc::clone(&maps.borrow_and_update());
            let is_up = parts.apply(&netmap).await;
            parts.names.check(netmap.network());
            loop {
                tokio::select! {
                    _ = maps.changed() => break,
                    _ = changes.changed() => {
                        parts.relays.reconnect();
                        parts.device.handle_network_change();
                        parts.put_back(&netmap).await;
                    }
                    () = tokio::time::sleep(LOOK) => {}
                }
                if !parts.device.is_running() {
                    return;
                }
                parts.agent.expire_peers();
                let is_due = checked.elapsed() >= CHECK;
                if is_due && !is_up {
                    checked = Instant::now();
                    break;
                }
                if is_due {
                    parts.put_back(&netmap).await;
                }
                if is_due || parts.names.is_changed() {
                    parts.names.check(netmap.network());
                    checked = Instant::now();
                }
            }
        }
    }

    /// Takes everything down, the interface last.
    pub(crate) async fn stop(self) {
        let Some(link) = self.end().await else { return };
        // While the TUN device stays open for the next tunnel, the interface would stay, too.
        link.remove_interface().await;
    }

    /// Takes everything down but the interface, which stays as long as the TUN device is open.
    pub(crate) async fn hand_over(self) {
        self.end().await;
    }

    async fn end(mut self) -> Option<Arc<Link>> {
        self.tasks.shutdown().await;
        let parts = self.parts.take()?;
        parts.relays.close();
        parts.agent.interface.send_replace(InterfaceState::Configured(Vec::new()));
        if let Some(wireguard) = &parts.wireguard {
            wireguard.stop().await;
        }
        if let Err(error) = parts.routing.clear().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the rules of routing stay; the next start removes them");
        }
        let link = Arc::clone(&parts.link);
        tokio::task::block_in_place(|| drop(parts));
        Some(link)
    }
}

impl Parts {
    /// Sets again what another program may have removed, and tries again what failed.
    async fn put_back(&self, netmap: &Arc<Netmap>) {
        if let Err(error) = self.routing.put_back().await {
            tracing::error!(error = &error as &dyn std::error::Error, "routes are missing");
        }
        let (own, plan) = (netmap.addresses(), self.plan(netmap).await);
        // This machine's networks may be others now.
        let filter = self.set_filter(netmap, &plan).await;
        self.tell_services(netmap, filter);
        let guarded = self.guard(&own, &plan);
        self.serve_wireguard(&own, &plan, guarded).await;
    }

    /// Sets which packets of peers pass.
    async fn set_filter(&self, netmap: &Netmap, plan: &WireguardPlan) -> Arc<PacketFilter> {
        let nets: Vec<IpNet> = netmap.addresses().into_iter().map(IpNet::from).collect();
        let settings = &self.agent.config.settings;
        let rules = if settings.shields_up { Vec::new() } else { netmap.rules() };
        let outside = match settings.advertise_exit_node {
            true => self.link.outside().await,
            false => Ranges::default(),
        };
        let filter = PacketFilter::compile(&rules, &nets)
            .forwarding(netmap.forwards(&self.agent.config.routes, &outside))
            .serving(&plan.addresses());
        let filter = Arc::new(filter);
        self.device.set_filter(Arc::clone(&filter));
        filter
    }

    /// Tells the services who may reach them, if that has changed.
    fn tell_services(&self, netmap: &Arc<Netmap>, filter: Arc<PacketFilter>) {
        let current = self.access.borrow().clone();
        if *current.netmap != **netmap || *current.filter != *filter {
            let access = AccessSnapshot { netmap: Arc::clone(netmap), filter };
            self.access.send_replace(Arc::new(access));
            self.zone.send_replace(Arc::new(netmap.zone(&self.agent.config.dns_domains)));
        }
    }

    async fn plan(&self, netmap: &Netmap) -> WireguardPlan {
        match &self.wireguard {
            Some(wireguard) => wireguard.plan(netmap, &self.link).await,
            None => WireguardPlan::default(),
        }
    }

    /// Sets the firewall. An error is logged, too.
    fn guard(&self, own: &[IpAddr], plan: &WireguardPlan) -> Result<(), FirewallError> {
        let answers = self.wireguard.as_ref().is_some_and(Router::answers);
        let scope = Scope { own: own.to_vec(), wireguard: plan.clone(), answers };
        let guarded = tokio::task::block_in_place(|| self.firewall.set(scope));
        if let Err(error) = &guarded {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "the firewall is not up to date");
        }
        guarded
    }

    /// Serves WireGuard devices; none without the firewall, which judges their packets. It learns then whether names are answered.
    async fn serve_wireguard(
        &self,
        own: &[IpAddr],
        plan: &WireguardPlan,
        guarded: Result<(), FirewallError>,
    ) {
        let Some(wireguard) = &self.wireguard else { return };
        match guarded {
            Ok(()) => wireguard.apply(own, plan).await,
            Err(error) => wireguard.refuse(plan, &error).await,
        }
        // What is refused here is logged, and set again soon; until then no query for names passes.
        let _ = self.guard(own, plan);
    }

    /// Applies a map; returns whether the interface has its addresses. Errors are logged, and the map is applied again soon.
    ///
    /// Restrictions come first: filter and firewall before peers, these before addresses, addresses before services. So what a
    /// program sends as soon as there is a route finds its peer. Relays are dialled meanwhile.
    async fn apply(&self, netmap: &Arc<Netmap>) -> bool {
        let own = netmap.addresses();
        let choice = &self.agent.config.routes;
        let plan = self.plan(netmap).await;
        let filter = self.set_filter(netmap, &plan).await;
        let peers = netmap.tunnel_peers(choice);
        let routes = netmap.routes(choice).into_iter().map(|(net, _)| net).collect();
        self.relays.set_peers(&peers);
        self.relays.set_map(&home::relays(&self.agent, &netmap.relays));
        let guarded = self.guard(&own, &plan);
        self.device.set_peers(peers.into_iter().map(device_peer).collect());
        let with_resolver = [own.as_slice(), &[RESOLVER.into()]].concat();
        let configured = async {
            self.link.set_addresses(&with_resolver).await?;
            self.routing.set(choice, &own, routes).await
        };
        let interface = match configured.await {
            Ok(()) => InterfaceState::Configured(own.clone()),
            Err(error) => {
                let source = &error as &dyn std::error::Error;
                tracing::error!(error = source, "the interface is not up to date");
                InterfaceState::Failed(error.to_string())
            }
        };
        let is_up = matches!(interface, InterfaceState::Configured(_));
        self.tell_services(netmap, filter);
        self.serve_wireguard(&own, &plan, guarded).await;
        if !self.has_greeted.swap(true, Ordering::Relaxed) {
            self.device.greet();
        }
        self.agent.interface.send_replace(interface);
        is_up
    }
}

fn offload(wanted: &settings::Offload) -> Offload {
    match wanted {
        settings::Offload::Auto => Offload::AUTO,
        settings::Offload::Off => Offload::OFF,
        settings::Offload::Only(names) => {
            let is_listed = |feature: &Feature| names.iter().any(|name| name == feature.name());
            Feature::ALL.into_iter().filter(is_listed).collect()
        }
    }
}

fn device_config(agent: &Agent, interface: &str) -> Config {
    Config {
        interface: interface.to_owned(),
        mtu: MTU,
        listen_port: agent.config.settings.listen_port,
        mark: Some(outside::MARK),
        private_key: *agent.private_key().as_bytes(),
        discovery_key: *agent.discovery_key().as_bytes(),
        roams: false,
        offload: offload(&agent.config.settings.offload),
    }
}

fn device_peer(peer: TunnelPeer) -> Peer {
    Peer {
        public_key: *peer.key.as_bytes(),
        discovery_key: *peer.disco_key.as_bytes(),
        allowed_ips: peer.allowed_ips,
        candidates: peer.endpoints,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offload_has_the_name_that_settings_give_it() {
        let names = settings::OFFLOADS.map(str::to_owned).to_vec();
        assert_eq!(Feature::ALL.map(Feature::name), settings::OFFLOADS);
        assert_eq!(offload(&settings::Offload::Only(names)), Offload::AUTO);
        assert_eq!(offload(&settings::Offload::Auto), Offload::AUTO);
        assert_eq!(offload(&settings::Offload::Off), Offload::OFF);
        let one = offload(&settings::Offload::Only(vec!["udp_gro".to_owned()]));
        assert_eq!(one.names().collect::<Vec<_>>(), ["udp_gro"]);
    }
}
