//! The TUN's addresses and routes, and this machine's other addresses, by netlink.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    sync::{Mutex, PoisonError},
};

use common::mesh;
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::{
    Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope},
        route::{RouteAddress, RouteAttribute, RouteHeader},
    },
};

mod neighbours;

/// `EEXIST`, `ENODEV` and `EADDRINUSE`, as netlink reports them.
const EXISTS: i32 = -17;
const NO_DEVICE: i32 = -19;
const IN_USE: i32 = -98;

/// The interface cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("cannot open netlink")]
    Open(#[source] std::io::Error),
    #[error("the interface {0} does not exist")]
    Gone(String),
    #[error("cannot {what} (the agent needs CAP_NET_ADMIN)")]
    Refused { what: String, source: rtnetlink::Error },
}

/// The machine's way to other networks: an IPv4 router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DefaultRoute {
    /// The router.
    pub(crate) gateway: Ipv4Addr,
    /// This machine's address towards it.
    pub(crate) source: Ipv4Addr,
}

/// The TUN interface.
pub(crate) struct Link {
    handle: Handle,
    index: u32,
    addresses: Mutex<Vec<IpAddr>>,
    /// Held during a list: the kernel makes one at a time for each socket, and refuses a second with `EBUSY`.
    list: tokio::sync::Mutex<()>,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Link {
    /// Opens the interface and brings it up. It may have addresses of the mesh already.
    pub(crate) async fn up(interface: &str, mtu: u16) -> Result<Self, LinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Open)?;
        let connection = tokio::spawn(connection);
        let index = bring_up(&handle, interface, mtu).await?;
        let list = handle.address().get().set_link_index_filter(index).execute();
        let listed: Result<Vec<_>, _> = list.try_collect().await;
        let list = listed.map_err(refused("list the addresses of", interface))?;
        let addresses =
            list.iter().filter_map(address_of).filter(|it| mesh::contains(*it)).collect();
        Ok(Self {
            handle,
            index,
            addresses: Mutex::new(addresses),
            list: tokio::sync::Mutex::default(),
            connection,
        })
    }

    /// Netlink, and the interface's index.
    pub(crate) fn netlink(&self) -> (Handle, u32) {
        (self.handle.clone(), self.index)
    }

    /// Sets the interface's addresses and the mesh's routes.
    ///
    /// IPv6 addresses are skipped where the kernel has no IPv6.
    pub(crate) async fn set_addresses(&self, want: &[IpAddr]) -> Result<(), LinkError> {
        let have = self.current();
        if have == want {
            return Ok(());
        }
        for address in have.iter().filter(|address| !want.contains(address)) {
            self.remove(*address).await?;
        }
        for address in want.iter().filter(|address| !have.contains(address)) {
            match self.add(*address).await {
                Err(error) if address.is_ipv6() => {
                    tracing::warn!(%address, error = &error as &dyn std::error::Error, "no IPv6");
                }
                other => other?,
            }
        }
        self.add_routes(want).await?;
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = want.to_vec();
        Ok(())
    }

    /// Removes the interface, if it is still there.
    pub(crate) async fn remove_interface(&self) {
        if let Err(error) = self.handle.link().del(self.index).execute().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the interface was removed before"
            );
        }
    }

    fn current(&self) -> Vec<IpAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn add(&self, address: IpAddr) -> Result<(), LinkError> {
        let mut request = self.handle.address().add(self.index, address, host_prefix(address));
        // No duplicate can exist, and the address could not be bound during detection.
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        if is_resolver(address) {
            // For this machine only: never the source address of packets to a peer.
            request.message_mut().header.scope = AddressScope::Host;
        }
        match request.execute().await {
            Err(error) if !is_exists(&error) => Err(LinkError::Refused {
                what: format!("add the address {address}"),
                source: error,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn remove(&self, address: IpAddr) -> Result<(), LinkError> {
        let what = || format!("remove the address {address}");
        let refused = |source| LinkError::Refused { what: what(), source };
        let _one = self.list.lock().await;
        let mut list = self.handle.address().get().set_link_index_filter(self.index).execute();
        while let Some(message) = list.try_next().await.map_err(refused)? {
            if address_of(&message) == Some(address) {
                self.handle.address().del(message).execute().await.map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Adds routes of the whole mesh, so that packets for unknown nodes never leave by another interface.
    async fn add_routes(&self, own: &[IpAddr]) -> Result<(), LinkError> {
        let mut routes = Vec::new();
        for address in own.iter().filter(|a| mesh::contains(**a) && !is_resolver(**a)) {
            match *address {
                IpAddr::V4(source) => {
                    let route = RouteMessageBuilder::<Ipv4Addr>::new()
                        .destination_prefix(mesh::V4.network(), mesh::V4.prefix_len())
                        .pref_source(source)
                        .output_interface(self.index);
                    routes.push((IpNet::from(mesh::V4), route.build()));
                }
                IpAddr::V6(source) => {
                    let route = RouteMessageBuilder::<Ipv6Addr>::new()
                        .destination_prefix(mesh::V6.network(), mesh::V6.prefix_len())
                        .pref_source(source)
                        .output_interface(self.index);
                    routes.push((mesh::V6.into(), route.build()));
                }
            }
        }
        for (net, route) in routes {
            match self.handle.route().add(route).replace().execute().await {
                Ok(()) => {}
                Err(error) if net.addr().is_ipv6() => {
                    tracing::warn!(%net, error = &error as &dyn std::error::Error, "no IPv6 route");
                }
                Err(source) => {
                    return Err(LinkError::Refused {
                        what: format!("add the route {net}"),
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    /// The IPv4 default route of the main table that does not lead into the tunnel; of several, the preferred one.
    pub(crate) async fn default_route(&self) -> Option<DefaultRoute> {
        let mut found: Option<(u32, Ipv4Addr)> = None;
        let one = self.list.lock().await;
        let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let mut routes = self.handle.route().get(all).execute();
        while let Ok(Some(route)) = routes.try_next().await {
            let (mut gateway, mut priority, mut interface) = (None, 0, None);
            for attribute in &route.attributes {
                if let RouteAttribute::Gateway(RouteAddress::Inet(address)) = attribute {
                    gateway = Some(*address);
                } else if let RouteAttribute::Priority(value) = attribute {
                    priority = *value;
                } else if let RouteAttribute::Oif(index) = attribute {
                    interface = Some(*index);
                }
            }
            let is_default = route.header.destination_prefix_length == 0
                && route.header.table == RouteHeader::RT_TABLE_MAIN
                && interface != Some(self.index);
            if let Some(gateway) = gateway.filter(|_| is_default)
                && found.is_none_or(|(other, _)| priority < other)
            {
                found = Some((priority, gateway));
            }
        }
        drop(one);
        let (_, gateway) = found?;
        // Nothing is sent: connecting only asks the routing table.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((gateway, 9)).ok()?;
        match socket.local_addr().ok()?.ip() {
            IpAddr::V4(source) => Some(DefaultRoute { gateway, source }),
            IpAddr::V6(_) => None,
        }
    }

    /// This machine's addresses at which a peer might reach it: not loopback, not link-local,
    /// not the mesh's own.
    pub(crate) async fn machine_addresses(&self) -> Result<Vec<IpAddr>, LinkError> {
        let refused = |source| LinkError::Refused {
            what: "list this machine's addresses".to_owned(),
            source,
        };
        let mut found = Vec::new();
        let _one = self.list.lock().await;
        let mut list = self.handle.address().get().execute();
        while let Some(message) = list.try_next().await.map_err(refused)? {
            if message.header.index == self.index || message.header.scope != AddressScope::Universe
            {
                continue;
            }
            let usable = |address: &IpAddr| {
                !address.is_loopback() && !address.is_unspecified() && !mesh::contains(*address)
            };
            found.extend(address_of(&message).filter(usable));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn refused(what: &str, interface: &str) -> impl FnOnce(rtnetlink::Error) -> LinkError {
    let what = format!("{what} {interface}");
    move |source| LinkError::Refused { what, source }
}

/// The index of an interface; `None` if there is none with this name.
pub(crate) async fn index(handle: &Handle, interface: &str) -> Result<Option<u32>, LinkError> {
    let mut links = handle.link().get().match_name(interface.to_owned()).execute();
    match links.try_next().await {
        Err(error) if has_code(&error, NO_DEVICE) => Ok(None),
        Err(error) => Err(refused("find the interface", interface)(error)),
        Ok(link) => Ok(link.map(|link| link.header.index)),
    }
}

/// Removes an interface, such as one that an agent which was killed left, if there is one with this name.
pub(crate) async fn remove(handle: &Handle, interface: &str) -> Result<(), LinkError> {
    let Some(index) = index(handle, interface).await? else { return Ok(()) };
    handle.link().del(index).execute().await.map_err(refused("remove the interface", interface))
}

/// Brings an interface up; returns its index.
pub(crate) async fn bring_up(handle: &Handle, interface: &str, mtu: u16) -> Result<u32, LinkError> {
    let found = index(handle, interface).await?;
    let index = found.ok_or_else(|| LinkError::Gone(interface.to_owned()))?;
    let up = LinkUnspec::new_with_index(index).mtu(mtu.into()).up().build();
    handle.link().set(up).execute().await.map_err(refused("bring up", interface))?;
    Ok(index)
}

/// Whether an interface cannot be brought up because another program has its port.
pub(crate) fn is_address_in_use(error: &LinkError) -> bool {
    matches!(error, LinkError::Refused { source, .. } if has_code(source, IN_USE))
}

fn is_resolver(address: IpAddr) -> bool {
    address == IpAddr::V4(mesh::RESOLVER)
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

pub(crate) fn is_exists(error: &rtnetlink::Error) -> bool {
    has_code(error, EXISTS)
}

fn has_code(error: &rtnetlink::Error, code: i32) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(message)
        if message.code.is_some_and(|found| found.get() == code))
}

/// The local address: `Local` if present, since `Address` may be the other end's.
pub(crate) fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            return Some(*address);
        }
        if let AddressAttribute::Address(address) = attribute {
            found = Some(*address);
        }
    }
    found
}
