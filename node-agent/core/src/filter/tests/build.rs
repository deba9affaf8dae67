//! Packets as machines write them; checksums are left out, since the filter does not look at them.

use std::net::IpAddr;

use crate::filter::packet::protocol;

pub(in crate::filter) const FIN: u8 = 0x01;
pub(in crate::filter) const SYN: u8 = 0x02;
pub(in crate::filter) const RST: u8 = 0x04;
pub(in crate::filter) const ACK: u8 = 0x10;

/// An IP packet of the family that its addresses have.
pub(in crate::filter) fn ip(
    source: &str,
    destination: &str,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
            let head = [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0];
            [&head[..], &source.octets(), &destination.octets(), payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
            let head = [0x60, 0, 0, 0, len[0], len[1], protocol, 64];
            [&head[..], &source.octets(), &destination.octets(), payload].concat()
        }
        _ => panic!("two families"),
    }
}

/// Makes an IPv4 packet a fragment.
pub(in crate::filter) fn cut_v4(
    mut packet: Vec<u8>,
    id: u16,
    offset: usize,
    more: bool,
) -> Vec<u8> {
    let field = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    packet
}

/// A fragment header of IPv6 and what follows it.
pub(in crate::filter) fn cut_v6(
    next: u8,
    id: u32,
    offset: usize,
    more: bool,
    payload: &[u8],
) -> Vec<u8> {
    let field = (u16::try_from(offset).unwrap() & 0xfff8) | u16::from(more);
    [&[next, 0][..], &field.to_be_bytes(), &id.to_be_bytes(), payload].concat()
}

pub(in crate::filter) fn tcp_bytes(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 1, 0, 0, 0, 0, 0];
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &rest].concat()
}

pub(in crate::filter) fn udp_bytes(source: u16, destination: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0, 8, 0, 0]].concat()
}

pub(in crate::filter) fn echo_bytes(v6: bool, asks: bool, id: u16) -> Vec<u8> {
    let kind = match (v6, asks) {
        (false, true) => 8,
        (false, false) => 0,
        (true, true) => 128,
        (true, false) => 129,
    };
    [&[kind, 0, 0, 0][..], &id.to_be_bytes(), &[0, 1]].concat()
}

pub(in crate::filter) fn icmp(v6: bool) -> u8 {
    if v6 { protocol::ICMPV6 } else { protocol::ICMP }
}

pub(in crate::filter) fn tcp(
    source: &str,
    from: u16,
    destination: &str,
    to: u16,
    flags: u8,
) -> Vec<u8> {
    ip(source, destination, protocol::TCP, &tcp_bytes(from, to, flags))
}

pub(in crate::filter) fn udp(source: &str, from: u16, destination: &str, to: u16) -> Vec<u8> {
    ip(source, destination, protocol::UDP, &udp_bytes(from, to))
}

pub(in crate::filter) fn sctp(source: &str, from: u16, destination: &str, to: u16) -> Vec<u8> {
    ip(source, destination, protocol::SCTP, &[&udp_bytes(from, to)[..], &[0; 4]].concat())
}

/// An echo request (`asks`) or reply.
pub(in crate::filter) fn echo(source: &str, destination: &str, asks: bool, id: u16) -> Vec<u8> {
    let v6 = source.contains(':');
    ip(source, destination, icmp(v6), &echo_bytes(v6, asks, id))
}

/// An ICMP error ("unreachable") about `packet`.
pub(in crate::filter) fn error(source: &str, destination: &str, packet: &[u8]) -> Vec<u8> {
    let v6 = source.contains(':');
    let kind = if v6 { 1 } else { 3 };
    ip(source, destination, icmp(v6), &[&[kind, 1, 0, 0, 0, 0, 0, 0], packet].concat())
}
