//! Where a device may be, and which places meet without a relay.

use std::fmt;

use anyhow::Result;

use crate::{internet::Internet, nat::Nat, site::Site};

/// Where a device is: behind a router of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Behind one router with IPv4.
    Nat(Nat),
    /// Behind a port-restricted router, which is behind another one.
    TwoRouters,
    /// In a network without IPv4.
    Ipv6,
}

impl Location {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Nat(Nat::Open),
        Self::Nat(Nat::FullCone),
        Self::Nat(Nat::AddressRestricted),
        Self::Nat(Nat::PortRestricted),
        Self::Nat(Nat::Symmetric),
        Self::Nat(Nat::UdpBlocked),
        Self::TwoRouters,
        Self::Ipv6,
    ];

    /// Makes a site of this kind, without machines.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn site(self, internet: &mut Internet) -> Result<Site> {
        match self {
            Self::Nat(nat) => internet.site(nat),
            Self::TwoRouters => {
                let mut outer = internet.site(Nat::PortRestricted)?;
                internet.site_behind(&mut outer, Nat::PortRestricted)
            }
            Self::Ipv6 => internet.ipv6_site(),
        }
    }

    /// Whether devices at two places, behind different routers, can exchange UDP without a relay once both begin.
    ///
    /// A symmetric router's port is known to nobody before it sends: who filters by port lets nothing in from there.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        let both = [self, other];
        let any = |place| both.contains(&Self::Nat(place));
        let filters_ports = |place: &Self| {
            matches!(place, Self::Nat(Nat::Symmetric | Nat::PortRestricted) | Self::TwoRouters)
        };
        let one_family = (self == Self::Ipv6) == (other == Self::Ipv6);
        let is_guessed = any(Nat::Symmetric) && both.iter().all(filters_ports);
        one_family && !any(Nat::UdpBlocked) && !is_guessed
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat(Nat::Open) => "open",
            Self::Nat(Nat::FullCone) => "full cone",
            Self::Nat(Nat::AddressRestricted) => "address-restricted",
            Self::Nat(Nat::PortRestricted) => "port-restricted",
            Self::Nat(Nat::Symmetric) => "symmetric",
            Self::Nat(Nat::UdpBlocked) => "UDP blocked",
            Self::Nat(Nat::Masquerade) => "masquerade",
            Self::TwoRouters => "two routers",
            Self::Ipv6 => "IPv6 only",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_meets_is_what_the_page_says() {
        let row = |place: Location| -> String {
            Location::ALL.iter().map(|other| if place.meets(*other) { 'd' } else { 'r' }).collect()
        };
        let table = [
            "ddddd.d.", "ddddd.d.", "ddddd.d.", "dddd..d.", "ddd.....", "........", "dddd..d.",
            ".......d",
        ];
        assert_eq!(Location::ALL.map(row).as_slice(), table.map(|row| row.replace('.', "r")));
    }
}
