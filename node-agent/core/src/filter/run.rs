//! Detects runs of packets of one flow by comparing bytes.

use super::packet::protocol;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const TCP_FLAGS_AT: usize = 13;
/// FIN, SYN and RST: such packets are judged one by one.
const TCP_EVENTS: u8 = 0x07;

/// Addresses, protocol and ports of a packet within a flow, without options, extension headers and fragments. Two packets with
/// equal ones are judged alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowBytes {
    version: u8,
    protocol: u8,
    /// Source, destination, source port, destination port, as in the packet.
    addresses: [u8; 36],
}

/// The flow and length of a complete packet within a flow; `None` for any other packet.
pub(super) fn flow_bytes(bytes: &[u8]) -> Option<(FlowBytes, usize)> {
    let mut addresses = [0; 36];
    let (version, protocol, header, len) = match bytes.first()? {
        0x45 => {
            let fixed = bytes.first_chunk::<{ IPV4_HEADER + 4 }>()?;
            if u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0 {
                return None;
            }
            addresses[..12].copy_from_slice(&fixed[12..]);
            (4, fixed[9], IPV4_HEADER, usize::from(u16::from_be_bytes([fixed[2], fixed[3]])))
        }
        0x60..=0x6f => {
            let fixed = bytes.first_chunk::<{ IPV6_HEADER + 4 }>()?;
            addresses.copy_from_slice(&fixed[8..]);
            let len = IPV6_HEADER + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
            (6, fixed[6], IPV6_HEADER, len)
        }
        _ => return None,
    };
    let transport = bytes.get(header..len)?;
    let whole = match protocol {
        protocol::TCP => transport.len() >= TCP_HEADER && transport[TCP_FLAGS_AT] & TCP_EVENTS == 0,
        protocol::UDP => transport.len() >= UDP_HEADER,
        _ => false,
    };
    whole.then_some((FlowBytes { version, protocol, addresses }, len))
}
