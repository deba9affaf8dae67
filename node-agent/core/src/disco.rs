//! Disco: Tailscale's messages for finding a direct path (`disco/disco.go` in the Go client).
//!
//! ```text
//! "TS💬" | sender's disco key, 32 | nonce, 24 | NaCl box of: type, 1 | version, 1 | content
//! ```
//!
//! `ts_disco_protocol` 0.6, Tailscale's own codec, is not used: it agrees on a key anew for each message, which a flood would
//! make expensive, and its keys need `x25519-dalek` 3 beside our 2. `interop/` compares the bytes of both.

use std::net::{Ipv6Addr, SocketAddr};

use control_protocol::key::{DiscoPrivate, DiscoPublic, KEY_LEN, NodePublic};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead as _};

/// What every message starts with.
pub const MAGIC: [u8; 6] = *b"TS\xf0\x9f\x92\xac";
/// Length of a nonce, in bytes.
pub const NONCE_LEN: usize = 24;
/// Length of a transaction id, in bytes.
pub const TRANSACTION_LEN: usize = 12;

/// Length of what precedes the box.
const HEADER_LEN: usize = MAGIC.len() + KEY_LEN + NONCE_LEN;
/// Length of the box's authenticator.
const TAG_LEN: usize = 16;
/// The only version.
const VERSION: u8 = 0;
/// Length of an address: IPv6, or IPv4 mapped into it, and the port.
const ADDRESS_LEN: usize = 18;

const PING: u8 = 1;
const PONG: u8 = 2;
const CALL_ME_MAYBE: u8 = 3;

/// Links a pong to its ping.
pub type TransactionId = [u8; TRANSACTION_LEN];

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for a pong to the address that this comes from.
    Ping {
        /// Chosen at random.
        transaction: TransactionId,
        /// The sender's node key. Not authenticated by itself: it must belong to the disco key.
        node: NodePublic,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        transaction: TransactionId,
        /// Where the ping came from.
        seen: SocketAddr,
    },
    /// Asks the receiver to ping these addresses of the sender. Only valid over a relay.
    CallMeMaybe(Vec<SocketAddr>),
}

impl Message {
    /// Decodes the content of a box; `None` for unknown types and versions, and for what is too short.
    ///
    /// Pings without a node key, which clients before Tailscale 1.16 send, are not decoded.
    #[must_use]
    pub fn decode(content: &[u8]) -> Option<Self> {
        let ([kind, VERSION], body) = content.split_first_chunk()? else { return None };
        match *kind {
            PING => {
                let (transaction, body) = body.split_first_chunk()?;
                // Padding may follow: it measures the path's MTU.
                let (node, _) = body.split_first_chunk()?;
                Some(Self::Ping { transaction: *transaction, node: NodePublic::from_bytes(*node) })
            }
            PONG => {
                let (transaction, body) = body.split_first_chunk()?;
                let (seen, _) = body.split_first_chunk()?;
                Some(Self::Pong { transaction: *transaction, seen: read_address(seen) })
            }
            CALL_ME_MAYBE => {
                let (addresses, rest) = body.as_chunks::<ADDRESS_LEN>();
                rest.is_empty()
                    .then(|| Self::CallMeMaybe(addresses.iter().map(read_address).collect()))
            }
            _ => None,
        }
    }

    /// Encodes the content of a box.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ping { transaction, node } => {
                [&[PING, VERSION][..], transaction, node.as_bytes()].concat()
            }
            Self::Pong { transaction, seen } => {
                [&[PONG, VERSION][..], transaction, &address(*seen)].concat()
            }
            Self::CallMeMaybe(addresses) => {
                let mut bytes = vec![CALL_ME_MAYBE, VERSION];
                addresses.iter().for_each(|it| bytes.extend(address(*it)));
                bytes
            }
        }
    }
}

fn read_address(bytes: &[u8; ADDRESS_LEN]) -> SocketAddr {
    let [ip @ .., high, low] = *bytes;
    SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes([high, low]))
}

fn address(address: SocketAddr) -> [u8; ADDRESS_LEN] {
    let ip = match address {
        SocketAddr::V4(address) => address.ip().to_ipv6_mapped(),
        SocketAddr::V6(address) => *address.ip(),
    };
    let mut bytes = [0; ADDRESS_LEN];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// The sender's disco key, which it only claims before [`Channel::open`]; `None` if this is not disco.
#[must_use]
pub fn sender(datagram: &[u8]) -> Option<DiscoPublic> {
    if datagram.len() < HEADER_LEN + TAG_LEN {
        return None;
    }
    let key = datagram.strip_prefix(&MAGIC)?.first_chunk()?;
    Some(DiscoPublic::from_bytes(*key))
}

/// Seals and opens messages between this node and a peer. The key agreement is done once, in [`Self::new`].
pub struct Channel {
    own: DiscoPublic,
    sealed: SalsaBox,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel([redacted])")
    }
}

impl Channel {
    /// Agrees on a key with the peer.
    #[must_use]
    pub fn new(own: &DiscoPrivate, peer: &DiscoPublic) -> Self {
        let peer = PublicKey::from(*peer.as_bytes());
        let sealed = SalsaBox::new(&peer, &SecretKey::from(*own.as_bytes()));
        Self { own: own.public(), sealed }
    }

    /// Seals a message. `nonce` must be random.
    #[must_use]
    pub fn seal(&self, message: &Message, nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        // The cipher only refuses what is longer than 256 GiB.
        let sealed = self.sealed.encrypt(&nonce.into(), &*message.encode()).unwrap_or_default();
        [&MAGIC[..], self.own.as_bytes(), &nonce, &sealed].concat()
    }

    /// Opens a datagram of this peer; `None` if it is not authentic, or if [`Message::decode`] does not know it.
    #[must_use]
    pub fn open(&self, datagram: &[u8]) -> Option<Message> {
        let (header, sealed) = datagram.split_first_chunk::<HEADER_LEN>()?;
        let nonce: &[u8; NONCE_LEN] = header.last_chunk()?;
        Message::decode(&self.sealed.decrypt(&(*nonce).into(), sealed).ok()?)
    }
}

#[cfg(test)]
mod tests;
