//! Which ports the router is asked for.

use std::{net::IpAddr, num::NonZeroU16};

use node_agent_api::Transport;
use node_agent_core::filter::Ranges;
use services::{COORDINATOR, RELAY};

use crate::{agent::Agent, home, router::WantedPort};

/// Tables of sockets that listen on TCP, and of UDP sockets (`proc_net_tcp(5)`).
const TCP: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const UDP: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
/// States of a TCP socket that listens, and of a UDP socket without a peer.
const LISTENING: &str = "0A";
const UNCONNECTED: &str = "07";

/// The ports to ask for: the node's own, that for WireGuard devices, and behind a router at home those that devices elsewhere need.
///
/// A port of the coordinator or the relay is asked for only if that service's user listens there: the map that names the relay's
/// ports comes from the coordinator, which must not open another program's.
pub(super) async fn all(agent: &Agent, own_udp: NonZeroU16, own: &[IpAddr]) -> Vec<WantedPort> {
    let mut ports = vec![WantedPort::Own(own_udp)];
    ports.extend(wireguard(agent));
    if home::outer_addresses(agent, own).await.is_empty() {
        return ports;
    }
    let Some(server) = home::server(agent) else { return ports };
    let outside = server.public.port();
    let mut add = |service, transport, inside, outside, uid| {
        let (Some(inside), Some(outside)) = (NonZeroU16::new(inside), NonZeroU16::new(outside))
        else {
            return;
        };
        if listens(transport, inside, uid) {
            ports.push(WantedPort::Exact { service, transport, inside, outside });
        }
    };
    add("coordinator", Transport::Tcp, server.port, outside, COORDINATOR);
    let map = agent.netmap.borrow().clone();
    if let Some(relay) = home::relay(&map.relays) {
        // An embedded relay is on the coordinator's port.
        let port = relay.port();
        add("relay", Transport::Tcp, port, port, RELAY);
        let stun = relay.stun().unwrap_or_default();
        add("stun", Transport::Udp, stun, stun, RELAY);
        add("stun", Transport::Udp, stun, stun, COORDINATOR);
    }
    ports
}

/// The port for WireGuard devices, while there are any.
fn wireguard(agent: &Agent) -> Option<WantedPort> {
    let inside = agent.config.settings.wireguard?.port;
    let map = agent.netmap.borrow().clone();
    let (service, transport) = ("wireguard", Transport::Udp);
    let port = WantedPort::Exact { service, transport, inside, outside: inside };
    (!map.wireguard(&agent.config.routes, &Ranges::default()).devices.is_empty()).then_some(port)
}

/// Whether this user's program listens on the port.
fn listens(transport: Transport, port: NonZeroU16, uid: u32) -> bool {
    let (tables, state) = match transport {
        Transport::Tcp => (TCP, LISTENING),
        Transport::Udp => (UDP, UNCONNECTED),
    };
    let read = |table| std::fs::read_to_string(table).unwrap_or_default();
    tables.into_iter().map(read).any(|table| lists(&table, state, port, uid))
}

/// Whether the table has a socket of this user in this state, at this port.
fn lists(table: &str, state: &str, port: NonZeroU16, uid: u32) -> bool {
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace();
        let at = fields.nth(1).and_then(|at| at.rsplit_once(':'));
        let at = at.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        let is_in_state = fields.nth(1) == Some(state);
        let owner = fields.nth(3).and_then(|owner| owner.parse().ok());
        at == Some(port.get()) && is_in_state && owner == Some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 61001        0 35437 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 25291 1 0000000000000000 100 0 0 10 0
   2: 0100007F:20FC 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 61001        0 35438 1 0000000000000000 100 0 0 10 0
";

    #[test]
    fn only_a_port_on_which_that_user_listens_counts() {
        let lists = |port, uid| lists(TABLE, LISTENING, NonZeroU16::new(port).unwrap(), uid);
        assert!(lists(8443, 61001));
        // Another user's, a connection, nobody's.
        assert!(!lists(22, 61001) && !lists(8444, 61001) && !lists(443, 61001));
    }
}
