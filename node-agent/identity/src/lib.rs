//! The PROXY v2 header with a caller's identity.
//!
//! The agent writes it at the start of each connection that it forwards to a service's UNIX socket.
//! `docs/protocols/mesh-identity.md` is the specification. The reader must check the uid of the sender itself.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

pub mod members;
mod person;

pub use person::{NotAPerson, Person};
/// User and group of the agent, the only process that may send this header.
pub use services::{AGENT_GID, AGENT_UID};

/// First bytes of every header (PROXY protocol, section 2.2).
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The header of a connection without an identity: version 2, command LOCAL, no family, no addresses (same section).
pub const LOCAL: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// Version of the identity that this crate reads and writes.
pub const VERSION: u32 = 1;
/// Type of the identity's TLV, the first one for applications.
pub const TLV_IDENTITY: u8 = 0xE0;
/// Type of the TLV with the name that a TLS client asked for (PROXY protocol, section 2.2.2, `PP2_TYPE_AUTHORITY`).
pub const TLV_AUTHORITY: u8 = 0x02;
/// Longest authority, in bytes: the longest name of DNS (RFC 1035, section 2.3.4).
pub const MAX_AUTHORITY: usize = 253;
/// Longest identity, in bytes of JSON.
pub const MAX_IDENTITY: usize = 4096;
/// Longest header, in bytes.
pub const MAX_HEADER: usize = FIXED + MAX_REST;

/// Signature, version, family and length.
const FIXED: usize = 16;
/// Two IPv6 addresses, two ports, two TLVs.
const MAX_REST: usize = 36 + 3 + MAX_IDENTITY + 3 + MAX_AUTHORITY;
const PROXY_V2: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// A caller's identity, and the called service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Version of this structure: [`VERSION`].
    pub v: u32,
    /// The node's stable id; it survives a change of key or name.
    pub node: String,
    /// The person whose node it is; `None` for a tagged node.
    pub user: Option<User>,
    /// The node's tags, such as `tag:home`.
    pub tags: Vec<String>,
    /// Name of the service in the agent's configuration.
    pub service: String,
}

/// A person of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its number, never reused.
    pub id: u64,
    /// Login name; may change.
    pub login: String,
}

impl Identity {
    /// The owner of private data: the user, or for a tagged node the node.
    #[must_use]
    pub fn person(&self) -> Person {
        match &self.user {
            Some(user) => Person::User(user.id),
            None => Person::Node(self.node.clone()),
        }
    }
}

/// One connection's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The caller's mesh address.
    pub source: SocketAddr,
    /// The mesh address that was called.
    pub destination: SocketAddr,
    /// The caller's identity.
    pub identity: Identity,
    /// The name that the caller asked for by TLS (SNI, RFC 6066), in lower case; `None` over plain TCP. The agent ended TLS.
    pub authority: Option<String>,
}

/// Why a header cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes do not start with PROXY protocol v2's signature.
    #[error("the connection does not start with a PROXY v2 header")]
    Signature,
    /// Another version or command, or not TCP over IP.
    #[error("the PROXY header is not of a TCP connection (version {0:#04x}, family {1:#04x})")]
    Kind(u8, u8),
    /// The lengths of addresses or TLVs are wrong.
    #[error("the PROXY header's lengths are wrong")]
    Length,
    /// The header is longer than [`MAX_HEADER`], the identity than [`MAX_IDENTITY`], or the authority than [`MAX_AUTHORITY`].
    #[error("the PROXY header is too long")]
    TooLong,
    /// No identity, or more than one.
    #[error("the PROXY header carries no identity, or several")]
    Missing,
    /// The authority is repeated, or not UTF-8.
    #[error("the PROXY header's authority is no name")]
    Authority,
    /// The identity is of another version.
    #[error("the identity has version {0}, this program knows {VERSION}")]
    Version(u64),
    /// The identity is not the JSON that the version says.
    #[error("the identity is not usable JSON")]
    Json(#[from] serde_json::Error),
    /// The identity names no node.
    #[error("the identity names no node")]
    Node,
    /// One address is IPv4, the other IPv6.
    #[error("source and destination are of different families")]
    Family,
}

impl Header {
    /// Writes the header.
    ///
    /// # Errors
    ///
    /// The addresses are of different families, or the identity is invalid or too long.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        check(&self.identity)?;
        let json = serde_json::to_vec(&self.identity)?;
        if json.len() > MAX_IDENTITY {
            return Err(Error::TooLong);
        }
        let authority = self.authority.as_deref().unwrap_or_default();
        if authority.len() > MAX_AUTHORITY {
            return Err(Error::TooLong);
        }
        let mut rest = Vec::with_capacity(36 + 3 + json.len() + 3 + authority.len());
        let family = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                rest.extend_from_slice(&source.octets());
                rest.extend_from_slice(&destination.octets());
                TCP4
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                rest.extend_from_slice(&source.octets());
                rest.extend_from_slice(&destination.octets());
                TCP6
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(Error::Family);
            }
        };
        rest.extend_from_slice(&self.source.port().to_be_bytes());
        rest.extend_from_slice(&self.destination.port().to_be_bytes());
        rest.push(TLV_IDENTITY);
        rest.extend_from_slice(&length(json.len())?);
        rest.extend_from_slice(&json);
        if self.authority.is_some() {
            rest.push(TLV_AUTHORITY);
            rest.extend_from_slice(&length(authority.len())?);
            rest.extend_from_slice(authority.as_bytes());
        }

        let mut out = Vec::with_capacity(FIXED + rest.len());
        out.extend_from_slice(&SIGNATURE);
        out.extend_from_slice(&[PROXY_V2, family]);
        out.extend_from_slice(&length(rest.len())?);
        out.extend_from_slice(&rest);
        Ok(out)
    }

    /// Reads a header from the start of `bytes`; also returns its length.
    ///
    /// `Ok(None)` means that more bytes are needed, never with [`MAX_HEADER`] bytes. An invalid start is an error as early as
    /// possible.
    ///
    /// # Errors
    ///
    /// The bytes are not a header as [`Header::encode`] writes it; unknown TLVs are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let seen = bytes.len().min(SIGNATURE.len());
        if bytes[..seen] != SIGNATURE[..seen] {
            return Err(Error::Signature);
        }
        let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
            return Ok(None);
        };
        let (kind, family) = (fixed[12], fixed[13]);
        if kind != PROXY_V2 || !matches!(family, TCP4 | TCP6) {
            return Err(Error::Kind(kind, family));
        }
        let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        if len > MAX_REST {
            return Err(Error::TooLong);
        }
        let Some(rest) = rest.get(..len) else {
            return Ok(None);
        };
        let (source, destination, tlvs) =
            if family == TCP4 { addresses_v4(rest)? } else { addresses_v6(rest)? };
        let (identity, authority) = read_tlvs(tlvs)?;
        Ok(Some((Self { source, destination, identity, authority }, FIXED + len)))
    }
}

type Addresses<'a> = (SocketAddr, SocketAddr, &'a [u8]);

fn addresses_v4(rest: &[u8]) -> Result<Addresses<'_>, Error> {
    let (raw, tlvs) = rest.split_first_chunk::<12>().ok_or(Error::Length)?;
    let [s0, s1, s2, s3, d0, d1, d2, d3, sp0, sp1, dp0, dp1] = *raw;
    let source = (Ipv4Addr::new(s0, s1, s2, s3), u16::from_be_bytes([sp0, sp1])).into();
    let destination = (Ipv4Addr::new(d0, d1, d2, d3), u16::from_be_bytes([dp0, dp1])).into();
    Ok((source, destination, tlvs))
}

fn addresses_v6(rest: &[u8]) -> Result<Addresses<'_>, Error> {
    let (source, rest) = rest.split_first_chunk::<16>().ok_or(Error::Length)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Error::Length)?;
    let ([sp0, sp1, dp0, dp1], tlvs) = rest.split_first_chunk::<4>().ok_or(Error::Length)?;
    let source = (Ipv6Addr::from(*source), u16::from_be_bytes([*sp0, *sp1])).into();
    let destination = (Ipv6Addr::from(*destination), u16::from_be_bytes([*dp0, *dp1])).into();
    Ok((source, destination, tlvs))
}

fn read_tlvs(mut tlvs: &[u8]) -> Result<(Identity, Option<String>), Error> {
    let (mut found, mut authority) = (None, None);
    while let Some(([kind, high, low], rest)) = tlvs.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(Error::Length)?;
        if *kind == TLV_IDENTITY && found.replace(value).is_some() {
            return Err(Error::Missing);
        }
        if *kind == TLV_AUTHORITY && authority.replace(read_authority(value)?).is_some() {
            return Err(Error::Authority);
        }
        tlvs = rest;
    }
    if !tlvs.is_empty() {
        return Err(Error::Length);
    }
    let json = found.ok_or(Error::Missing)?;
    if json.len() > MAX_IDENTITY {
        return Err(Error::TooLong);
    }
    let Versioned { v } = serde_json::from_slice(json)?;
    if v != u64::from(VERSION) {
        return Err(Error::Version(v));
    }
    let identity: Identity = serde_json::from_slice(json)?;
    check(&identity)?;
    Ok((identity, authority))
}

fn read_authority(value: &[u8]) -> Result<String, Error> {
    if value.len() > MAX_AUTHORITY {
        return Err(Error::TooLong);
    }
    Ok(std::str::from_utf8(value).map_err(|_| Error::Authority)?.to_owned())
}

/// The field that every version of the identity has.
#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

fn check(identity: &Identity) -> Result<(), Error> {
    if identity.v != VERSION {
        return Err(Error::Version(identity.v.into()));
    }
    if identity.node.is_empty() {
        return Err(Error::Node);
    }
    Ok(())
}

fn length(len: usize) -> Result<[u8; 2], Error> {
    u16::try_from(len).map(u16::to_be_bytes).map_err(|_| Error::TooLong)
}

#[cfg(test)]
mod tests;
