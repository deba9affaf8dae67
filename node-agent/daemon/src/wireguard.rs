//! The router of WireGuard devices: devices with the plain WireGuard app, which this node forwards into the mesh.
//!
//! ```text
//!  phone ══ WireGuard ══▶ the kernel's interface, or our own ──▶ firewall ──▶ this node's services
//!                                                                         ──▶ the tunnel, to peers
//!                                                                         ──▶ the internet, with a full tunnel
//! ```
//!
//! Who they are, and what they may open, is in the map ([`WireguardPlan`]); the firewall's chains hold it. The interface is there
//! as long as there is a device. What does not work is in the status, is tried again, and is in no other part's way.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use common::{mesh, route::EXIT};
use ipnet::IpNet;
use messages::{Message, message};
use node_agent_api::settings::Wireguard;
use node_agent_core::{
    filter::Ranges,
    names::Zone,
    netmap::{Netmap, ServedDevice, WireguardPlan},
};
use rtnetlink::Handle;
use tokio::sync::{Mutex, watch};
use wireguard_device::{Config, Offload};

use crate::{
    agent::Agent,
    dns::{Resolver, Sight},
    firewall::FirewallError,
    link::{self, Link, LinkError},
    outside,
    routing::{MAIN, is_forwarded, route},
    state::StateError,
};

mod kernel;
pub(crate) mod peer;
pub(crate) mod speaker;
mod userspace;

use peer::Peer;
use speaker::{Speaker, SpeakerError};

/// Largest IP packet inside: what WireGuard's own tools give the devices.
const MTU: u16 = 1420;

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
enum WireguardError {
    #[error("UDP port {0} is taken")]
    PortTaken(u16),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Key(#[from] StateError),
    #[error(transparent)]
    Speaker(#[from] SpeakerError),
}

/// The interface, and what is set on it.
struct Interface {
    index: u32,
    speaker: Arc<Speaker>,
    peers: Vec<Peer>,
    nets: BTreeSet<IpNet>,
    own: Vec<IpAddr>,
    /// What answers the devices' queries for names; nothing yet, or why not.
    resolver: Option<io::Result<Resolver>>,
}

impl Interface {
    fn answers(&self) -> bool {
        matches!(self.resolver, Some(Ok(_)))
    }
}

/// The router.
pub(crate) struct Router {
    agent: Arc<Agent>,
    handle: Handle,
    interface: String,
    tunnel: String,
    tun: Option<OwnedFd>,
    zone: watch::Receiver<Arc<Zone>>,
    sight: watch::Sender<Arc<Sight>>,
    answers: AtomicBool,
    current: Mutex<Option<Interface>>,
}

impl Router {
    /// A router without an interface yet, beside the tunnel with the interface `tunnel`. `tun` is an open `/dev/net/tun`, where
    /// this process cannot open it.
    pub(crate) fn new(
        agent: &Arc<Agent>,
        handle: Handle,
        [interface, tunnel]: [&str; 2],
        tun: Option<OwnedFd>,
        zone: watch::Receiver<Arc<Zone>>,
    ) -> Self {
        Self {
            agent: Arc::clone(agent),
            handle,
            interface: interface.to_owned(),
            tunnel: tunnel.to_owned(),
            tun,
            zone,
            sight: watch::Sender::default(),
            answers: AtomicBool::new(false),
            current: Mutex::default(),
        }
    }

    /// Whether it answers the devices' queries for names. If not, the firewall must drop them: another program may hear them.
    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// What a map has this node forward; to the internet only if the settings say so.
    pub(crate) async fn plan(&self, netmap: &Netmap, link: &Link) -> WireguardPlan {
        let outside = match self.settings().internet {
            true => link.outside().await,
            false => Ranges::default(),
        };
        netmap.wireguard(&self.agent.config.routes, &outside)
    }

    fn settings(&self) -> Wireguard {
        self.agent.config.settings.wireguard.unwrap_or_default()
    }

    /// Applies a map. The firewall must have its rules by now. What fails is logged once and shown in the status; call this
    /// again to try again, and to replace an interface that another program removed.
    pub(crate) async fn apply(&self, own: &[IpAddr], plan: &WireguardPlan) {
        let mut current = self.current.lock().await;
        self.sight.send_replace(Arc::new(Sight { own: own.to_vec(), plan: plan.clone() }));
        let result = match plan.devices.is_empty() || own.is_empty() {
            true => {
                self.take_down(current.take()).await;
                Ok(())
            }
            false => self.set(&mut current, own, plan).await,
        };
        let problem = match &result {
            Err(error) => Some(problem(error)),
            Ok(()) => {
                current.as_ref().and_then(|it| unanswered(it).or_else(|| self.unforwarded(plan)))
            }
        };
        if result.is_err() {
            self.take_down(current.take()).await;
        }
        self.answers.store(current.as_ref().is_some_and(Interface::answers), Ordering::Relaxed);
        let mut shown = self.agent.wireguard();
        shown.speaker = current.as_ref().map(|interface| Arc::clone(&interface.speaker));
        if let Some(problem) = problem.as_ref().filter(|it| shown.problem.as_ref() != Some(it)) {
            let error = result.as_ref().err().map(|error| error as &dyn std::error::Error);
            tracing::warn!(error, "{problem}");
        }
        shown.problem = problem;
    }

    /// Takes the interface down, since the firewall does not have its rules; the status says so if there is a device.
    pub(crate) async fn refuse(&self, plan: &WireguardPlan, error: &FirewallError) {
        self.stop().await;
        let problem = message!("problem-agent-wireguard-firewall", reason = error);
        self.agent.wireguard().problem = (!plan.devices.is_empty()).then_some(problem);
    }

    /// Takes the interface down.
    pub(crate) async fn stop(&self) {
        let mut current = self.current.lock().await;
        self.take_down(current.take()).await;
    }

    async fn take_down(&self, interface: Option<Interface>) {
        let Some(interface) = interface else { return };
        self.answers.store(false, Ordering::Relaxed);
        let index = interface.index;
        // The device's threads end first.
        self.agent.wireguard().speaker = None;
        tokio::task::block_in_place(|| drop(interface));
        if let Err(error) = self.handle.link().del(index).execute().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the interface has gone");
        }
    }

    async fn set(
        &self,
        current: &mut Option<Interface>,
        own: &[IpAddr],
        plan: &WireguardPlan,
    ) -> Result<(), WireguardError> {
        let is_there = match current {
            Some(interface) => {
                link::index(&self.handle, &self.interface).await? == Some(interface.index)
                    && interface.speaker.is_running()
            }
            None => false,
        };
        if !is_there {
            self.take_down(current.take()).await;
        }
        let interface = match current {
            Some(interface) => interface,
            None => current.insert(self.start().await?),
        };
        let peers: Vec<_> = plan.devices.iter().map(peer).collect();
        if interface.peers != peers {
            interface.speaker.set_peers(&interface.peers, &peers)?;
            interface.peers = peers;
        }
        self.set_routes(interface, own, plan).await?;
        for name in [&self.interface, &self.tunnel] {
            forward(name);
        }
        if interface.own != own || !interface.answers() {
            interface.resolver = None;
            interface.resolver = Some(self.resolver(own));
            interface.own = own.to_vec();
        }
        Ok(())
    }

    /// Makes the interface, by the kernel if it knows WireGuard.
    async fn start(&self) -> Result<Interface, WireguardError> {
        link::remove(&self.handle, &self.interface).await?;
        let port = self.settings().port.get();
        let config = Config {
            interface: self.interface.clone(),
            mtu: MTU,
            listen_port: port,
            mark: Some(outside::MARK),
            private_key: *self.agent.wireguard_key()?.as_bytes(),
            // Of no use to the devices.
            discovery_key: *self.agent.discovery_key().as_bytes(),
            roams: true,
            offload: Offload::AUTO,
        };
        let made = async {
            let speaker = Speaker::start(&self.handle, config, self.tun.as_ref()).await?;
            let up = link::bring_up(&self.handle, &self.interface, MTU).await;
            let index = up.map_err(|error| match link::is_address_in_use(&error) {
                true => WireguardError::PortTaken(port),
                false => error.into(),
            })?;
            Ok((speaker, index))
        };
        let (speaker, index) = match made.await {
            Ok(made) => made,
            Err(error) => {
                link::remove(&self.handle, &self.interface).await?;
                return Err(error);
            }
        };
        tracing::info!(interface = self.interface, port, kind = ?speaker.kind(), "WireGuard devices are served");
        Ok(Interface {
            index,
            speaker: Arc::new(speaker),
            peers: Vec::new(),
            nets: BTreeSet::new(),
            own: Vec::new(),
            resolver: None,
        })
    }

    /// Sets a route to each device; also again, since another program may have removed it.
    async fn set_routes(
        &self,
        interface: &mut Interface,
        own: &[IpAddr],
        plan: &WireguardPlan,
    ) -> Result<(), WireguardError> {
        let wanted: BTreeSet<_> = plan.addresses().into_iter().map(IpNet::from).collect();
        for net in interface.nets.difference(&wanted) {
            if let Some(route) = route(net, &[], interface.index, MAIN) {
                let _ = self.handle.route().del(route).execute().await;
            }
        }
        for net in &wanted {
            let Some(route) = route(net, own, interface.index, MAIN) else { continue };
            match self.handle.route().add(route).replace().execute().await {
                Err(error) if net.addr().is_ipv6() => {
                    tracing::debug!(%net, error = &error as &dyn std::error::Error, "no IPv6 route");
                }
                Err(source) => {
                    let what = format!("add the route {net}");
                    return Err(LinkError::Refused { what, source }.into());
                }
                Ok(()) => {}
            }
        }
        interface.nets = wanted;
        Ok(())
    }

    /// The resolver at this node's mesh addresses, for the devices alone.
    fn resolver(&self, own: &[IpAddr]) -> io::Result<Resolver> {
        let own: Vec<_> = own.iter().copied().filter(|address| mesh::contains(*address)).collect();
        let (zone, forwarder) = (self.zone.clone(), Arc::clone(&self.agent.forwarder));
        Resolver::start_on(&self.interface, &own, self.sight.subscribe(), zone, forwarder)
    }

    /// What this machine does not forward for the devices.
    fn unforwarded(&self, plan: &WireguardPlan) -> Option<Message> {
        let is_on = |file: &str| {
            fs::read_to_string(file).is_ok_and(|state| !matches!(state.trim(), "0" | ""))
        };
        let everywhere = |file: fn(&str) -> String| {
            [&self.interface, &self.tunnel].iter().all(|name| is_on(&file(name)))
        };
        if !everywhere(ipv4_forwarding) {
            return Some(message!("problem-agent-wireguard-ipv4"));
        }
        if plan.devices.iter().any(|device| device.full_tunnel) {
            if !self.settings().internet {
                return Some(message!("problem-agent-wireguard-no-internet"));
            }
            if !is_forwarded(&EXIT[0]) {
                return Some(message!("problem-agent-wireguard-internet"));
            }
        }
        let has_v6 =
            plan.addresses().iter().any(IpAddr::is_ipv6) && fs::exists(IPV6).is_ok_and(|is| is);
        (has_v6 && !is_forwarded(&EXIT[1]) && !everywhere(ipv6_forced))
            .then(|| message!("problem-agent-wireguard-ipv6"))
    }
}

fn peer(device: &ServedDevice) -> Peer {
    Peer { key: *device.key.as_bytes(), addresses: device.addresses.clone() }
}

/// Why no query for names is answered.
fn unanswered(interface: &Interface) -> Option<Message> {
    match &interface.resolver {
        Some(Err(reason)) => Some(message!("problem-agent-wireguard-names", reason)),
        Some(Ok(_)) | None => None,
    }
}

fn problem(error: &WireguardError) -> Message {
    if let WireguardError::PortTaken(port)
    | WireguardError::Speaker(SpeakerError::Device(wireguard_device::Error::Bind {
        port,
        ..
    })) = error
    {
        message!("problem-agent-wireguard-port", port)
    } else {
        message!("problem-agent-wireguard", reason = error)
    }
}

const IPV6: &str = "/proc/sys/net/ipv6";

/// Since Linux 6.17 an interface can forward IPv6 alone.
fn ipv6_forced(interface: &str) -> String {
    format!("{IPV6}/conf/{interface}/force_forwarding")
}

fn ipv4_forwarding(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/forwarding")
}

/// Lets the kernel forward what comes from this interface alone; also again, since a change for all interfaces changes this one.
/// What may pass is the firewall's matter.
fn forward(interface: &str) {
    for file in [ipv4_forwarding(interface), ipv6_forced(interface)] {
        if let Err(error) = fs::write(&file, "1") {
            tracing::debug!(%error, file, "not set");
        }
    }
}
