//! What this machine's router forwards, as it says.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    num::NonZeroU16,
    time::{Duration, SystemTime},
};

use node_agent_api::{MappingProtocol, PortProblem, Transport};

/// Life of a mapping that is asked for (RFC 6886, section 3.3). A longer one that the router grants is not believed.
pub(crate) const LIFE: Duration = Duration::from_secs(7200);

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

/// A port that the router is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WantedPort {
    /// This node's WireGuard port. Any outer port will do: peers are told it.
    Own(NonZeroU16),
    /// A port of the coordinator, the relay or STUN, at which devices expect this outer port.
    Exact { service: &'static str, transport: Transport, inside: NonZeroU16, outside: NonZeroU16 },
}

impl WantedPort {
    /// Who listens there.
    pub(crate) fn service(&self) -> &'static str {
        match self {
            Self::Own(_) => "agent",
            Self::Exact { service, .. } => service,
        }
    }

    /// TCP or UDP.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Own(_) => Transport::Udp,
            Self::Exact { transport, .. } => *transport,
        }
    }

    /// The port on this machine.
    pub(crate) fn inside(&self) -> NonZeroU16 {
        match self {
            Self::Own(inside) | Self::Exact { inside, .. } => *inside,
        }
    }

    /// The outer port that is asked for.
    pub(crate) fn outside(&self) -> u16 {
        match self {
            Self::Own(port) => port.get(),
            Self::Exact { outside, .. } => outside.get(),
        }
    }

    /// Whether no other outer port will do.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact { .. })
    }
}

/// Believes no longer life than was asked for, and none of zero.
pub(crate) fn until(life: Duration, now: SystemTime) -> Option<SystemTime> {
    (!life.is_zero()).then(|| now + life.min(LIFE))
}

impl WantedPort {
    fn is_own_udp(&self) -> bool {
        self.transport() == Transport::Udp && !self.is_exact()
    }
}
