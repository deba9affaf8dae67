//! What of the internet's addresses is in this house: this machine itself, and its links.
//!
//! A LAN has global addresses, too, with IPv6 above all. They are the internet's by their number, and the house's by their place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::route::EXIT;
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use node_agent_core::filter::Ranges;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage},
};

use super::{Link, LinkError};

/// Shortest prefixes that can be a link's, for IPv4 and IPv6. A shorter one is a way out: half of the internet, as some VPNs
/// write a default route.
const LINK: [u8; 2] = [8, 16];

impl Link {
    /// What may be the internet from here: all but the house. Nothing if the house is not known.
    pub(crate) async fn outside(&self) -> Ranges {
        match self.neighbours().await {
            Ok(house) => EXIT.into_iter().collect::<Ranges>().without(&house.into_iter().collect()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the machine's networks are not known: no way to the internet"
                );
                Ranges::default()
            }
        }
    }

    /// The networks that this machine reaches without a gateway, and its own addresses, by the routes of all tables.
    async fn neighbours(&self) -> Result<Vec<IpNet>, LinkError> {
        let refused = |source| LinkError::Refused { what: "list the routes".to_owned(), source };
        let mut found = Vec::new();
        let _one = self.list.lock().await;
        for request in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let mut routes = self.handle.route().get(request).execute();
            while let Some(route) = routes.try_next().await.map_err(refused)? {
                found.extend(on_link(&route));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// Where a route leads, if not to a gateway.
fn on_link(route: &RouteMessage) -> Option<IpNet> {
    let is_by_gateway = |attribute: &RouteAttribute| {
        matches!(
            attribute,
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_)
        )
    };
    let destination = route.attributes.iter().find_map(|attribute| {
        let RouteAttribute::Destination(destination) = attribute else { return None };
        if let RouteAddress::Inet(address) = destination {
            return Some(IpAddr::V4(*address));
        }
        if let RouteAddress::Inet6(address) = destination {
            return Some(IpAddr::V6(*address));
        }
        None
    })?;
    let len = route.header.destination_prefix_length;
    let shortest = LINK[usize::from(destination.is_ipv6())];
    let is_on_link = len >= shortest && !route.attributes.iter().any(is_by_gateway);
    is_on_link.then(|| IpNet::new(destination, len).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_gateway_is_in_the_house_and_half_of_the_internet_is_not() {
        let v4 = |to: [u8; 4], len| {
            RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to.into(), len)
        };
        let v6 = |to: &str, len| {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to.parse().unwrap(), len)
        };
        let net = |text: &str| Some(text.parse::<IpNet>().unwrap());

        assert_eq!(on_link(&v6("2001:db8::", 64).build()), net("2001:db8::/64"));
        assert_eq!(on_link(&v4([203, 0, 113, 0], 24).build()), net("203.0.113.0/24"));
        assert_eq!(on_link(&v4([203, 0, 113, 7], 32).build()), net("203.0.113.7/32"));
        let by_gateway = v4([198, 51, 100, 0], 24).gateway([203, 0, 113, 1].into());
        assert_eq!(on_link(&by_gateway.build()), None);
        for half in [v4([0, 0, 0, 0], 0), v4([0, 0, 0, 0], 1), v4([128, 0, 0, 0], 1)] {
            assert_eq!(on_link(&half.build()), None);
        }
        assert_eq!(on_link(&v6("2000::", 3).build()), None);
        assert_eq!(on_link(&RouteMessageBuilder::<Ipv6Addr>::new().build()), None);
    }
}
