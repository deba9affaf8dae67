//! The search for a router that speaks UPnP (UPnP Device Architecture 2.0, section 1.3.2).
//!
//! `igd-next` takes the answer of whoever answers first. So it searches through a socket that passes on what the router answers,
//! and nothing of others:
//!
//! ```text
//!  igd-next ◀── loopback ──▶ pass_on ── search ──▶ router
//!                                    ◀── answers of the router's address alone
//! ```
//!
//! Bytes of a router are decoded by `igd-next` and `crab_nat` alone, which is why there is no fuzz target of ours for them.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use igd_next::{
    SearchOptions,
    aio::{
        Gateway,
        tokio::{Tokio, search_gateway},
    },
};
use tokio::net::UdpSocket;

use crate::link::DefaultRoute;

/// How long a router may take to be found.
const WAIT: Duration = Duration::from_secs(3);
/// Where routers listen for a search.
const PORT: u16 = 1900;
/// More than a datagram of a search has, in bytes.
const MAX: usize = 1500;

/// Finds the default route's router. Its description, and where it takes requests, are at its own address.
pub(super) async fn router(route: DefaultRoute) -> Option<Gateway<Tokio>> {
    let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
    let outer = UdpSocket::bind((route.source, 0)).await.ok()?;
    let mut options = SearchOptions::default();
    options.bind_addr = (Ipv4Addr::LOCALHOST, 0).into();
    options.broadcast_address = near.local_addr().ok()?;
    // No others: a loopback address, where the answers come from, is not allowed.
    options.allowed_gateway_ips = vec![route.gateway.into()];
    options.timeout = Some(WAIT);
    options.single_search_timeout = Some(WAIT);
    tokio::select! {
        found = search_gateway(options) => found.ok(),
        _ = pass_on(&near, &outer, route.gateway) => None,
    }
}

/// Passes searches on to the router, and its answers back. Returns only an error.
async fn pass_on(near: &UdpSocket, outer: &UdpSocket, router: Ipv4Addr) -> io::Result<Infallible> {
    let (own, to) = (near.local_addr()?.to_string(), SocketAddrV4::new(router, PORT));
    let (mut search, mut answer) = ([0; MAX], [0; MAX]);
    let mut searching: Option<SocketAddr> = None;
    loop {
        tokio::select! {
            received = near.recv_from(&mut search) => {
                let (len, from) = received?;
                searching = Some(from);
                // Its `Host` is who is asked.
                let text = String::from_utf8_lossy(&search[..len]).replace(&own, &to.to_string());
                outer.send_to(text.as_bytes(), to).await?;
            }
            received = outer.recv_from(&mut answer) => {
                let (len, from) = received?;
                if let Some(searching) = searching
                    && from.ip() == IpAddr::V4(router)
                {
                    near.send_to(&answer[..len], searching).await?;
                }
            }
        }
    }
}
