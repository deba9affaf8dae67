//! STUN binding requests and responses (RFC 8489), as nodes use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Length of a message's header, in bytes.
pub const HEADER_LEN: usize = 20;

/// Largest datagram that is parsed, in bytes.
pub const MAX_LEN: usize = 1500;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];

const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// XOR-MAPPED-ADDRESS under the number that some older servers send.
const XOR_MAPPED_ADDRESS_ALT: u16 = 0x8020;
const SOFTWARE: u16 = 0x8022;
const FINGERPRINT: u16 = 0x8028;

/// Stock relays answer only requests with this name.
const SOFTWARE_NAME: [u8; 8] = *b"tailnode";
const FINGERPRINT_LEN: usize = 8;

/// Random id of a request, repeated in its response.
pub type TransactionId = [u8; 12];

/// A datagram that is not the expected STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StunError {
    /// It is not STUN, or of another type.
    #[error("not the expected STUN message")]
    Other,
    /// Its attributes or checksum are invalid, or it has no address.
    #[error("malformed STUN message")]
    Malformed,
}

/// Whether a datagram is STUN, and not WireGuard or path discovery.
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_LEN && datagram[0] & 0xc0 == 0 && datagram[4..8] == COOKIE
}

/// A binding request.
#[must_use]
pub fn request(transaction: TransactionId) -> Vec<u8> {
    let attributes_len = 4 + SOFTWARE_NAME.len() + FINGERPRINT_LEN;
    let mut out = header(BINDING_REQUEST, attributes_len as u16, transaction);
    out.extend_from_slice(&SOFTWARE.to_be_bytes());
    out.extend_from_slice(&(SOFTWARE_NAME.len() as u16).to_be_bytes());
    out.extend_from_slice(&SOFTWARE_NAME);
    let checksum = fingerprint(&out);
    out.extend_from_slice(&FINGERPRINT.to_be_bytes());
    out.extend_from_slice(&4_u16.to_be_bytes());
    out.extend_from_slice(&checksum.to_be_bytes());
    out
}

/// Parses a binding request. A checksum is optional, but must be valid.
///
/// # Errors
///
/// See [`StunError`].
pub fn parse_request(datagram: &[u8]) -> Result<TransactionId, StunError> {
    let (transaction, body) = parse_header(datagram, BINDING_REQUEST)?;
    let end = HEADER_LEN + body.len();
    let mut last = None;
    for attribute in Attributes(body) {
        last = Some(attribute?);
    }
    if let Some((FINGERPRINT, value)) = last
        && value != fingerprint(&datagram[..end - FINGERPRINT_LEN]).to_be_bytes()
    {
        return Err(StunError::Malformed);
    }
    Ok(transaction)
}

/// The response to a request from `source`, which is hardly longer than the request.
#[must_use]
pub fn response(transaction: TransactionId, source: SocketAddr) -> Vec<u8> {
    let port = source.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let (family, mut address) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    mask(&mut address, transaction);
    let value_len = 4 + address.len() as u16;
    let mut out = header(BINDING_SUCCESS, 4 + value_len, transaction);
    out.extend_from_slice(&XOR_MAPPED_ADDRESS.to_be_bytes());
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(&[0, family]);
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&address);
    out
}

/// Parses a response: its request, and the address that the server saw.
///
/// # Errors
///
/// See [`StunError`].
pub fn parse_response(datagram: &[u8]) -> Result<(TransactionId, SocketAddr), StunError> {
    let (transaction, body) = parse_header(datagram, BINDING_SUCCESS)?;
    let (mut masked, mut plain) = (None, None);
    for attribute in Attributes(body) {
        match attribute? {
            (XOR_MAPPED_ADDRESS | XOR_MAPPED_ADDRESS_ALT, value) => {
                masked = Some(address(value, Some(transaction))?)
            }
            (MAPPED_ADDRESS, value) => plain = Some(address(value, None)?),
            _ => {}
        }
    }
    Ok((transaction, masked.or(plain).ok_or(StunError::Malformed)?))
}

fn header(kind: [u8; 2], attributes_len: u16, transaction: TransactionId) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + usize::from(attributes_len));
    out.extend_from_slice(&kind);
    out.extend_from_slice(&attributes_len.to_be_bytes());
    out.extend_from_slice(&COOKIE);
    out.extend_from_slice(&transaction);
    out
}

/// The transaction and the attributes.
fn parse_header(datagram: &[u8], kind: [u8; 2]) -> Result<(TransactionId, &[u8]), StunError> {
    let (header, rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(StunError::Other)?;
    if !is_stun(datagram) || datagram.len() > MAX_LEN || header[..2] != kind {
        return Err(StunError::Other);
    }
    let [.., l0, l1] = *header.first_chunk::<4>().ok_or(StunError::Other)?;
    let transaction = *header.last_chunk::<12>().ok_or(StunError::Other)?;
    let body = rest.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or(StunError::Malformed)?;
    Ok((transaction, body))
}

/// Parses an address attribute, which is masked if a transaction is given.
fn address(value: &[u8], masked_with: Option<TransactionId>) -> Result<SocketAddr, StunError> {
    let (&[_, family, p0, p1], rest) =
        value.split_first_chunk::<4>().ok_or(StunError::Malformed)?;
    let mut port = u16::from_be_bytes([p0, p1]);
    let len = match family {
        1 => 4,
        2 => 16,
        _ => return Err(StunError::Malformed),
    };
    let mut octets = rest.get(..len).ok_or(StunError::Malformed)?.to_vec();
    if let Some(transaction) = masked_with {
        port ^= u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        mask(&mut octets, transaction);
    }
    let ip = if let Ok(octets) = <[u8; 4]>::try_from(octets.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(octets))
    } else {
        let octets = <[u8; 16]>::try_from(octets.as_slice()).map_err(|_| StunError::Malformed)?;
        IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
    };
    Ok(SocketAddr::new(ip, port))
}

/// Masks or unmasks the octets of an address (RFC 8489, section 14.2).
fn mask(octets: &mut [u8], transaction: TransactionId) {
    for (octet, mask) in octets.iter_mut().zip(COOKIE.iter().chain(&transaction)) {
        *octet ^= mask;
    }
}

/// The checksum of RFC 8489, section 14.7: CRC-32 with a constant.
fn fingerprint(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) ^ 0x5354_554e
}

/// Iterates over type and value of each attribute.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), StunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let parsed = self.0.split_first_chunk::<4>().and_then(|(&[t0, t1, l0, l1], rest)| {
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            let (value, padded) = (rest.get(..len)?, rest.get(len.next_multiple_of(4)..)?);
            Some((u16::from_be_bytes([t0, t1]), value, padded))
        });
        let Some((kind, value, rest)) = parsed else {
            self.0 = &[];
            return Some(Err(StunError::Malformed));
        };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

#[cfg(test)]
mod tests;
