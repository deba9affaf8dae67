//! Ports that this machine's router forwards to it, on request: PCP, NAT-PMP or UPnP, whichever the router speaks.
//!
//! Every machine behind a router asks for its UDP port; the machine that the coordinator runs on also for the coordinator's, the
//! relay's and STUN's ([`wanted`]). A mapping is asked for again long before it ends, and so it is after the router forgot it.
//!
//! What the router says is not trusted: it can cause that a port is not forwarded, and no more. Where others see another
//! address than the router names, its mapping is not used ([`crate::endpoints`]).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    num::NonZeroU16,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use node_agent_api::{MappingProtocol, PortProblem, Transport, settings::PortMapping};
use wireguard_device::Device;

use crate::{
    agent::{Agent, replace},
    link::{DefaultRoute, Link},
};

mod ask;
mod wanted;

pub(crate) use wanted::WantedPort;

/// Longest pause between two requests for the same mapping: a router that restarted has forgotten it.
const ROUND: Duration = Duration::from_secs(300);
/// Shortest pause, whatever the router says of the mapping's life.
const ROUND_MIN: Duration = Duration::from_secs(20);
/// How often the default route, and which ports are wanted, are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Life of a mapping that is asked for (RFC 6886, section 3.3). A longer one that the router grants is not believed.
const LIFE: Duration = Duration::from_secs(7200);

/// What this machine's router does for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouterState {
    /// The router; `None` where there is none between, or nothing is asked.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Each port that is wanted.
    pub(crate) ports: Vec<PortState>,
}

/// One port that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortState {
    /// The port.
    pub(crate) wanted: WantedPort,
    /// What the router granted, or why it is of no use.
    pub(crate) answer: Result<Grant, PortProblem>,
}

/// A mapping, as the router says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// How it was asked for.
    pub(crate) via: MappingProtocol,
    /// The outer address.
    pub(crate) outside: SocketAddrV4,
    /// When it ends unless it is renewed.
    pub(crate) until: SystemTime,
}

impl RouterState {
    /// The outer address of this machine's UDP port, if others see the address that the router names, or nobody says.
    pub(crate) fn endpoint(&self, seen: &[IpAddr]) -> Option<SocketAddrV4> {
        let own = self.ports.iter().find(|port| port.wanted.is_own_udp())?;
        let outside = own.answer.as_ref().ok()?.outside;
        is_confirmed(*outside.ip(), seen).then_some(outside)
    }
}

impl PortState {
    /// What is wrong with it, where `seen` are this machine's outer addresses as others see them.
    pub(crate) fn problem(&self, seen: &[IpAddr]) -> Option<PortProblem> {
        match &self.answer {
            Err(problem) => Some(*problem),
            Ok(grant) if !is_confirmed(*grant.outside.ip(), seen) => {
                Some(PortProblem::OtherAddress)
            }
            Ok(grant)
                if self.wanted.is_exact() && grant.outside.port() != self.wanted.outside() =>
            {
                Some(PortProblem::OtherPort)
            }
            Ok(_) => None,
        }
    }
}

/// Whether others see this address, or nobody says which one they see.
fn is_confirmed(address: Ipv4Addr, seen: &[IpAddr]) -> bool {
    let mut seen = seen.iter().filter(|address| address.is_ipv4()).peekable();
    seen.peek().is_none() || seen.any(|seen| *seen == IpAddr::V4(address))
}

/// Keeps [`Agent::router`] current, as long as the tunnel runs.
pub(crate) async fn run(agent: Arc<Agent>, device: Weak<Device>, link: Arc<Link>) {
    if agent.config.settings.port_mapping == PortMapping::Off {
        return;
    }
    let mut asker = ask::Asker::new(&agent);
    let mut changes = agent.network_changes.subscribe();
    loop {
        let want = want(&agent, &device, &link).await;
        let state = match &want {
            Some((route, ports)) => asker.ask(*route, ports).await,
            None => RouterState::default(),
        };
        let pause = pause(&state, SystemTime::now());
        if replace(&agent.router, state.clone()) {
            tracing::info!(?state, "ports of the router");
        }
        let look_again = async {
            while self::want(&agent, &device, &link).await == want {
                // Another network may have a router with the same address.
                if tokio::time::timeout(LOOK, changes.changed()).await.is_ok() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(pause, look_again).await;
    }
}

/// The router, and what to ask it for; `None` if there is no router that translates addresses.
async fn want(
    agent: &Agent,
    device: &Weak<Device>,
    link: &Link,
) -> Option<(DefaultRoute, Vec<WantedPort>)> {
    let route = link.default_route().await.filter(|route| route.source.is_private())?;
    let own = link.machine_addresses().await.ok()?;
    let udp = NonZeroU16::new(device.upgrade()?.local_ports().v4)?;
    Some((route, wanted::all(agent, udp, &own).await))
}

/// The pause until the ports are asked for again: half of the shortest life.
fn pause(state: &RouterState, now: SystemTime) -> Duration {
    let lives = state.ports.iter().filter_map(|port| port.answer.as_ref().ok());
    let lives = lives.map(|grant| grant.until.duration_since(now).unwrap_or_default() / 2);
    lives.min().unwrap_or(ROUND).clamp(ROUND_MIN, ROUND)
}

/// Believes no longer life than was asked for, and none of zero.
fn until(life: Duration, now: SystemTime) -> Option<SystemTime> {
    (!life.is_zero()).then(|| now + life.min(LIFE))
}

impl WantedPort {
    fn is_own_udp(&self) -> bool {
        self.transport() == Transport::Udp && !self.is_exact()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(outside: &str) -> Grant {
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
        Grant { via: MappingProtocol::Pcp, outside: outside.parse().unwrap(), until }
    }

    fn state(wanted: WantedPort, answer: Result<Grant, PortProblem>) -> RouterState {
        RouterState { gateway: None, ports: vec![PortState { wanted, answer }] }
    }

    const OWN: WantedPort = WantedPort::Own(NonZeroU16::new(41641).unwrap());

    #[test]
    fn a_router_that_names_another_address_than_others_see_gives_no_endpoint() {
        let granted = state(OWN, Ok(grant("203.0.113.9:7000")));
        let seen = |text: &[&str]| text.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
        let endpoint = |text: &[&str]| granted.endpoint(&seen(text)).map(|it| it.to_string());
        let problem = |text: &[&str]| granted.ports[0].problem(&seen(text));

        // Nobody says, or only of IPv6; the same.
        for agreed in [&[][..], &["2001:db8::1"], &["198.51.100.1", "203.0.113.9"]] {
            assert_eq!(endpoint(agreed).as_deref(), Some("203.0.113.9:7000"));
            assert_eq!(problem(agreed), None);
        }
        assert_eq!(endpoint(&["198.51.100.1"]), None);
        assert_eq!(problem(&["198.51.100.1"]), Some(PortProblem::OtherAddress));
    }

    #[test]
    fn a_port_at_which_devices_expect_it_is_useless_elsewhere() {
        let inside = NonZeroU16::new(8443).unwrap();
        let transport = Transport::Tcp;
        let wanted =
            WantedPort::Exact { service: "coordinator", transport, inside, outside: inside };
        let problem = |outside| state(wanted, Ok(grant(outside))).ports[0].problem(&[]);
        assert_eq!(problem("203.0.113.9:8443"), None);
        assert_eq!(problem("203.0.113.9:8444"), Some(PortProblem::OtherPort));
        // The node's own port may be any.
        assert_eq!(state(OWN, Ok(grant("203.0.113.9:8444"))).ports[0].problem(&[]), None);
    }

    #[test]
    fn no_life_that_a_router_grants_makes_the_agent_hurry_or_forget() {
        let now = SystemTime::UNIX_EPOCH;
        let pause = |life: u64| {
            let until = until(Duration::from_secs(life), now)?;
            Some(pause(&state(OWN, Ok(Grant { until, ..grant("203.0.113.9:1") })), now))
        };
        assert_eq!(pause(0), None);
        assert_eq!(pause(1), Some(ROUND_MIN));
        assert_eq!(pause(120), Some(Duration::from_secs(60)));
        assert_eq!(pause(u32::MAX.into()), Some(ROUND));
        assert_eq!(until(Duration::from_secs(u64::from(u32::MAX)), now), Some(now + LIFE));
        assert_eq!(super::pause(&state(OWN, Err(PortProblem::NoProtocol)), now), ROUND);
    }
}
