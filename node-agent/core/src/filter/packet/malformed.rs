//! Why bytes are not an IP packet that the filter can judge.

use crate::drops::Cause;

/// Why bytes are not an IP packet that the filter can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither version 4 nor 6.
    #[error("not an IP packet")]
    Version,
    /// Shorter than a header or than the header says.
    #[error("packet is cut short")]
    Short,
    /// Options or extension headers that no sender writes.
    #[error("headers that no sender writes")]
    Header,
    /// It asks to be sent on to addresses that its sender names (RFC 791, LSRR and SSRR; RFC 8200, routing header).
    #[error("source-routed packet")]
    SourceRouted,
    /// A fragment that hides or could overwrite the ports, or that fits into no packet.
    #[error("fragment without a complete transport header")]
    Fragment,
    /// An ICMP error about something that is no packet.
    #[error("ICMP error about no packet")]
    Quote,
}

impl Malformed {
    /// As what it is counted.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::Version | Self::Short | Self::Header | Self::Quote => Cause::Malformed,
            Self::SourceRouted => Cause::SourceRouted,
            Self::Fragment => Cause::Fragment,
        }
    }
}
