//! What transport headers have in common.

pub(super) const TCP_HEADER: usize = 20;

/// The first four bytes of TCP, UDP and SCTP.
pub(super) fn ports(header: &[u8]) -> Option<(u16, u16)> {
    let bytes = header.first_chunk::<4>()?;
    Some((u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]])))
}
