//! What the network around this device allows: `GET /v1/netcheck`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the network around this device allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetCheck {
    /// Whether a STUN server answered over UDP; `None` if there is none to ask.
    pub udp: Option<bool>,
    /// The IPv4 addresses at which others see this device.
    #[schema(value_type = Vec<String>)]
    pub ipv4: Vec<IpAddr>,
    /// The same of IPv6.
    #[schema(value_type = Vec<String>)]
    pub ipv6: Vec<IpAddr>,
    /// Whether each destination sees another port of this device, as behind a symmetric NAT; `None` with fewer than two
    /// answers.
    pub mapping_varies: Option<bool>,
    /// The router's port mappings; `None` if it is not asked for any.
    pub router: Option<Router>,
    /// The relays, in the order of the map.
    pub relays: Vec<RelayDelay>,
    /// The addresses at which peers try to reach this device.
    pub endpoints: Vec<Endpoint>,
    /// At home behind a router: where devices elsewhere reach coordinator and relay, as far as a member elsewhere has tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpAddress>,
}

/// A TCP address of the coordinator or the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TcpAddress {
    /// The address.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Whether a member elsewhere says that it was connected.
    pub reached: bool,
}

/// A relay's STUN server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayDelay {
    /// Its region in the relay map.
    pub region: u32,
    /// The region's name.
    pub name: String,
    /// Milliseconds until it answered; `None` if it did not.
    pub delay_ms: Option<u64>,
}

/// An address at which peers try to reach this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// The address.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// How it was found.
    pub kind: EndpointKind,
    /// Whether a member elsewhere reached this device there; `None` if none tried.
    pub reached: Option<bool>,
}

/// How an endpoint was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// An address of this machine.
    Local,
    /// A STUN server saw it.
    Stun,
    /// The router forwards it, as it says.
    PortMapped,
    /// The outer address of the home's router, with this machine's port.
    Router,
    /// The settings name it.
    Configured,
}

/// This device's router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Router {
    /// Its address on this network.
    #[schema(value_type = String)]
    pub gateway: Ipv4Addr,
    /// Each port that it is asked for.
    pub ports: Vec<RouterPort>,
}

/// A port that the router is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouterPort {
    /// Who listens there.
    pub service: String,
    /// TCP or UDP.
    pub transport: Transport,
    /// The port of this device.
    pub port: u16,
    /// How the router was asked; `None` if it granted nothing.
    pub via: Option<MappingProtocol>,
    /// The outer address that it granted.
    #[schema(value_type = Option<String>)]
    pub outside: Option<SocketAddr>,
    /// Until when (RFC 3339), unless it is renewed.
    pub until: Option<String>,
    /// Why it is of no use.
    pub problem: Option<PortProblem>,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How a router is asked for ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MappingProtocol {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// `UPnP`, Internet Gateway Device.
    Upnp,
}

/// Why a port of the router is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortProblem {
    /// The router speaks none of the protocols.
    NoProtocol,
    /// The router refused.
    Refused,
    /// Another device has the port.
    Taken,
    /// The router granted another outer port than devices use.
    OtherPort,
    /// The router names another outer address than the one at which others see this device.
    OtherAddress,
    /// A member elsewhere sent to the outer address, and nothing arrived.
    NotReached,
}
