//! Requests to the router.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    time::{Duration, SystemTime},
};

use control_protocol::key::MachinePrivate;
use crab_nat::{
    GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, PortMappingType,
    TimeoutConfig, natpmp, pcp,
};
use igd_next::{
    PortMappingProtocol, RequestError,
    aio::{Gateway, tokio::Tokio},
};
use node_agent_api::{MappingProtocol, PortProblem, Transport};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::{
    agent::Agent,
    link::DefaultRoute,
    ports::search,
    router::{Grant, LIFE, PortState, RouterState, WantedPort, until},
};

/// How long a router has for one request of PCP or NAT-PMP: two datagrams.
const DATAGRAMS: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(500),
    max_retries: 1,
    max_retry_timeout: None,
};
/// How long a router may take to grant a port by UPnP: up to three requests.
const UPNP_WAIT: Duration = Duration::from_secs(6);
/// Name of a mapping in the router's list.
const DESCRIPTION: &str = "Maru";

/// Asks the router; remembers what it speaks.
pub(super) struct Asker {
    key: MachinePrivate,
    /// The router that was asked last, and what it speaks.
    known: Option<(DefaultRoute, Speaks)>,
}

/// What a router speaks.
#[derive(Clone, Debug)]
enum Speaks {
    Pcp,
    NatPmp,
    Upnp(Box<Gateway<Tokio>>),
}

impl Asker {
    pub(super) fn new(agent: &Agent) -> Self {
        Self { key: agent.machine_key(), known: None }
    }

    /// Asks for each port.
    pub(super) async fn ask(&mut self, route: DefaultRoute, wanted: &[WantedPort]) -> RouterState {
        let mut ports = Vec::new();
        for port in wanted {
            let answer = self.port(route, *port).await;
            ports.push(PortState { wanted: *port, answer });
        }
        RouterState { gateway: Some(route.gateway), ports }
    }

    /// Asks for one port, by what the router is known to speak, else by each protocol in turn.
    async fn port(&mut self, route: DefaultRoute, port: WantedPort) -> Result<Grant, PortProblem> {
        if let Some((known, speaks)) = self.known.take()
            && known == route
        {
            let answer = self.by(&speaks, route, port).await;
            if !matches!(answer, Err(PortProblem::NoProtocol)) {
                self.known = Some((route, speaks));
                return answer;
            }
        }
        let mut refused = PortProblem::NoProtocol;
        for speaks in [Some(Speaks::Pcp), Some(Speaks::NatPmp), None] {
            let speaks = match speaks {
                Some(speaks) => speaks,
                None => match search::router(route).await {
                    Some(gateway) => Speaks::Upnp(Box::new(gateway)),
                    None => break,
                },
            };
            match self.by(&speaks, route, port).await {
                Ok(grant) => {
                    self.known = Some((route, speaks));
                    return Ok(grant);
                }
                Err(PortProblem::NoProtocol) => {}
                Err(problem) => refused = problem,
            }
        }
        Err(refused)
    }

    async fn by(
        &self,
        speaks: &Speaks,
        route: DefaultRoute,
        port: WantedPort,
    ) -> Result<Grant, PortProblem> {
        let answer = match speaks {
            Speaks::Pcp => self.pcp(route, port).await,
            Speaks::NatPmp => nat_pmp(route, port).await,
            Speaks::Upnp(gateway) => timeout(UPNP_WAIT, upnp(gateway, route, port))
                .await
                .unwrap_or(Err(PortProblem::NoProtocol)),
        };
        if let Err(problem) = answer {
            tracing::debug!(?speaks, ?port, ?problem, "the router forwards no port");
        }
        answer
    }

    async fn pcp(&self, route: DefaultRoute, port: WantedPort) -> Result<Grant, PortProblem> {
        let (gateway, client) = (route.gateway.into(), route.source.into());
        let base = pcp::BaseMapRequest::new(gateway, client, protocol(port), port.inside());
        let nonce = nonce(&self.key, port);
        match pcp::port_mapping(base, Some(nonce), None, options(port)).await {
            Ok(mapping) => match mapping.mapping_type() {
                PortMappingType::Pcp { external_ip: IpAddr::V4(address), .. } => {
                    grant(MappingProtocol::Pcp, address, &mapping)
                }
                PortMappingType::Pcp { .. } | PortMappingType::NatPmp => Err(PortProblem::Refused),
            },
            Err(
                pcp::Failure::NotAuthorized(_)
                | pcp::Failure::NoResources(_)
                | pcp::Failure::UserExceededQuota(_),
            ) => Err(PortProblem::Refused),
            Err(pcp::Failure::CannotProvideExternal(_)) => Err(PortProblem::Taken),
            Err(_) => Err(PortProblem::NoProtocol),
        }
    }
}

/// Which mapping is meant: the same at each start, since a router gives a mapping's owner alone a longer life (RFC 6887,
/// section 11.2), and secret, so that no other machine ends it.
fn nonce(key: &MachinePrivate, port: WantedPort) -> pcp::Nonce {
    let mut hash = Sha256::new();
    hash.update(b"maru-pcp-nonce/1\0");
    hash.update(key.as_bytes());
    hash.update([u8::from(port.transport() == Transport::Tcp)]);
    hash.update(port.inside().get().to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let (words, _) = hash.as_chunks::<4>();
    [0, 1, 2].map(|at| words.get(at).map_or(0, |word| u32::from_be_bytes(*word)))
}

fn protocol(port: WantedPort) -> InternetProtocol {
    match port.transport() {
        Transport::Tcp => InternetProtocol::Tcp,
        Transport::Udp => InternetProtocol::Udp,
    }
}

fn options(port: WantedPort) -> PortMappingOptions {
    PortMappingOptions {
        external_port: port.outside().try_into().ok(),
        lifetime_seconds: u32::try_from(LIFE.as_secs()).ok(),
        timeout_config: Some(DATAGRAMS),
    }
}

fn grant(
    via: MappingProtocol,
    address: Ipv4Addr,
    mapping: &PortMapping,
) -> Result<Grant, PortProblem> {
    let outside = SocketAddrV4::new(address, mapping.external_port().get());
    let life = Duration::from_secs(mapping.lifetime().into());
    let until = until(life, SystemTime::now()).ok_or(PortProblem::Refused)?;
    Ok(Grant { via, outside, until })
}

async fn nat_pmp(route: DefaultRoute, port: WantedPort) -> Result<Grant, PortProblem> {
    let failed = |failure| {
        let is_refusal =
            matches!(failure, natpmp::Failure::NotAuthorized | natpmp::Failure::OutOfResources);
        if is_refusal { PortProblem::Refused } else { PortProblem::NoProtocol }
    };
    let gateway = GatewayAddress::IpV4(route.gateway);
    let address = natpmp::external_address(gateway, Some(DATAGRAMS)).await.map_err(failed)?;
    let asked = natpmp::port_mapping(gateway, protocol(port), port.inside(), options(port));
    grant(MappingProtocol::NatPmp, address, &asked.await.map_err(failed)?)
}

async fn upnp(
    gateway: &Gateway<Tokio>,
    route: DefaultRoute,
    port: WantedPort,
) -> Result<Grant, PortProblem> {
    use igd_next::{AddAnyPortError, AddPortError};
    let transport = match port.transport() {
        Transport::Tcp => PortMappingProtocol::TCP,
        Transport::Udp => PortMappingProtocol::UDP,
    };
    let address = gateway.get_external_ip().await.map_err(|_| PortProblem::NoProtocol)?;
    let IpAddr::V4(address) = address else { return Err(PortProblem::Refused) };
    let inside = SocketAddrV4::new(route.source, port.inside().get()).into();
    let life = u32::try_from(LIFE.as_secs()).unwrap_or(u32::MAX);
    let outside = match gateway.add_port(transport, port.outside(), inside, life, DESCRIPTION).await
    {
        Ok(()) => port.outside(),
        Err(AddPortError::PortInUse) if !port.is_exact() => {
            match gateway.add_any_port(transport, inside, life, DESCRIPTION).await {
                Ok(outside) => outside,
                Err(AddAnyPortError::RequestError(error)) => return Err(failed(&error)),
                Err(_) => return Err(PortProblem::Refused),
            }
        }
        Err(AddPortError::PortInUse) => return Err(PortProblem::Taken),
        Err(AddPortError::RequestError(error)) => return Err(failed(&error)),
        Err(_) => return Err(PortProblem::Refused),
    };
    let until = until(LIFE, SystemTime::now()).ok_or(PortProblem::Refused)?;
    Ok(Grant { via: MappingProtocol::Upnp, outside: SocketAddrV4::new(address, outside), until })
}

/// A router that answers with an error refuses; one that answers with anything else does not speak UPnP.
fn failed(error: &RequestError) -> PortProblem {
    let is_refusal = matches!(error, RequestError::ErrorCode(..));
    if is_refusal { PortProblem::Refused } else { PortProblem::NoProtocol }
}
