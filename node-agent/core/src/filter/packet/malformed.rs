//! Malformed packets.

use crate::drops::Cause;

/// Why the filter cannot judge a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither version 4 nor 6.
    #[error("not an IP packet")]
    Version,
    /// Shorter than a header or than the header says.
    #[error("packet is cut short")]
    Short,
    /// Invalid options or extension headers.
    #[error("invalid headers")]
    Header,
    /// It has a source route (RFC 791, LSRR and SSRR; RFC 8200, routing header).
    #[error("source-routed packet")]
    SourceRouted,
    /// A fragment that hides or could overwrite the ports, or exceeds the largest packet.
    #[error("fragment without a complete transport header")]
    Fragment,
    /// An ICMP error that quotes no valid packet.
    #[error("ICMP error without a valid packet")]
    Quote,
}

impl Malformed {
    /// The cause under which it is counted.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::Version | Self::Short | Self::Header | Self::Quote => Cause::Malformed,
            Self::SourceRouted => Cause::SourceRouted,
            Self::Fragment => Cause::Fragment,
        }
    }
}
