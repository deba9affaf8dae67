//! Ports that this machine's router forwards to it, on request: PCP, NAT-PMP or UPnP, whichever the router speaks.
//!
//! Every machine behind a router asks for its UDP port; the machine that the coordinator runs on also for the coordinator's, the
//! relay's and STUN's ([`wanted`]). A mapping is asked for again long before it ends, and so it is after the router forgot it.
//!
//! What the router says is not trusted: it can cause that a port is not forwarded, and no more. Where others see another
//! address than the router names, its mapping is not used ([`mod@crate::endpoints`]).

use std::{
    num::NonZeroU16,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use node_agent_api::settings::PortMapping;
use wireguard_device::Device;

use crate::{
    agent::{Agent, replace},
    link::{DefaultRoute, Link},
    router::{RouterState, WantedPort},
};

mod ask;
mod search;
mod wanted;

/// Longest pause between two requests for the same mapping: a router that restarted has forgotten it.
const ROUND: Duration = Duration::from_secs(300);
/// Shortest pause, whatever the router says of the mapping's life.
const ROUND_MIN: Duration = Duration::from_secs(20);
/// How often the default route, and which ports are wanted, are looked at.
const LOOK: Duration = Duration::from_secs(10);

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

#[cfg(test)]
mod tests {
    use node_agent_api::{MappingProtocol, PortProblem, Transport};

    use super::*;
    use crate::router::{Grant, LIFE, PortState, until};

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
