//! Requests of the agent to the process that writes `resolv.conf`.
//!
//! A request is one packet: one byte, followed by a domain for [`Request::Point`]. The agent may be compromised, so any other
//! packet is invalid.

use crate::domain::Domain;

/// Longest domain in text (RFC 1035, section 2.3.4).
const DOMAIN_MAX: usize = 253;
/// Longest request.
pub const REQUEST_MAX: usize = 1 + DOMAIN_MAX;

const POINT: u8 = 1;
const RESTORE: u8 = 2;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Point the file at the agent, with this domain first among those that are searched.
    Point(Domain),
    /// Restore the original.
    Restore,
}

impl Request {
    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Point(domain) => [&[POINT], domain.as_str().as_bytes()].concat(),
            Self::Restore => vec![RESTORE],
        }
    }

    /// Reads a packet; `None` if it is not a request.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        match packet {
            [POINT, text @ ..] => {
                let text = std::str::from_utf8(text).ok()?;
                let domain: Domain = text.parse().ok()?;
                // Only the normalized form is valid.
                (domain.as_str() == text).then_some(Self::Point(domain))
            }
            [RESTORE] => Some(Self::Restore),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> Option<Domain> {
        text.parse().ok()
    }

    #[test]
    fn what_could_be_more_than_a_domain_is_no_question() {
        for good in ["maru.home.arpa", "a.b", "x-1.example.org"] {
            let request = Request::Point(domain(good).unwrap());
            assert_eq!(Request::decode(&request.encode()), Some(request), "{good}");
        }
        let long = vec!["a".repeat(63); 4].join(".");
        for wrong in [
            "",
            "internal",
            "Maru.internal",
            "maru.home.arpa.",
            "maru..internal",
            "a.b\nnameserver 192.0.2.1",
            "a.b nameserver",
            "a.b\0",
            "마루.internal",
            &long,
        ] {
            let packet = [&[POINT], wrong.as_bytes()].concat();
            assert_eq!(Request::decode(&packet), None, "{wrong:?}");
        }
    }

    proptest! {
        /// Whatever arrives: a request that is taken is what was written, bounded, and one word.
        #[test]
        fn any_packet_is_one_question_or_none(packet in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(request) = Request::decode(&packet) {
                prop_assert_eq!(request.encode(), &packet[..]);
                prop_assert!(packet.len() <= REQUEST_MAX);
                if let Request::Point(domain) = request {
                    prop_assert!(domain.as_str().bytes().all(|byte| byte > b' ' && byte < 127));
                }
            }
        }

        #[test]
        fn a_domain_arrives_as_it_was(domain in "[a-z0-9]{1,20}(\\.[a-z][a-z0-9]{4,9}){1,5}x") {
            let request = Request::Point(domain.parse().unwrap());
            prop_assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }
}
