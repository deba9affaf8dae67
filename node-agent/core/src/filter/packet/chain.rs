//! Between the IP header and the transport header: IPv4's options, IPv6's extension headers, fragments.

use super::malformed::Malformed;

pub(super) const TCP_HEADER: usize = 20;
/// A later fragment that starts below this byte could overwrite the ports (RFC 1858).
pub(super) const LATER_FRAGMENT_MIN: usize = 80;

/// Extension headers of one packet, at most. RFC 8200 has use for five.
const MAX_HEADERS: usize = 8;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
const FRAGMENT_HEADER: usize = 8;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Identifies the fragments of one packet, together with their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Chosen by the sender; 16 bits in IPv4.
    pub id: u32,
    /// The protocol, in IPv6 the header after the fragment header.
    pub protocol: u8,
}

/// The part of a packet that a fragment carries. A whole packet begins at 0 and has no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct FragmentPart {
    /// Where it begins in the packet, in bytes.
    pub(super) offset: usize,
    /// Whether more follows.
    pub(super) more: bool,
    pub(super) fragment: Fragment,
}

/// The transport header and what follows it.
pub(super) struct Chain<'a> {
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
    pub(super) part: Option<FragmentPart>,
}

impl<'a> Chain<'a> {
    /// Follows IPv6's extension headers, of which `next` is the first. Authentication and encryption (RFC 4302, 4303) and
    /// everything unknown end the chain: they are protocols like others.
    pub(super) fn walk(mut next: u8, mut payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut part: Option<FragmentPart> = None;
        // Length of the fragmentable part in this fragment.
        let mut cut = 0_usize;
        for number in 0..MAX_HEADERS {
            let first = number == 0;
            let short = if part.is_some_and(|part| part.more) {
                Malformed::Fragment
            } else {
                Malformed::Short
            };
            match next {
                HOP_BY_HOP if !first => return Err(Malformed::Header),
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                    let head = payload.first_chunk::<4>().ok_or(short)?;
                    if next == ROUTING && head[3] != 0 {
                        return Err(Malformed::SourceRouted);
                    }
                    next = head[0];
                    payload = payload.get((usize::from(head[1]) + 1) * 8..).ok_or(short)?;
                    // A later fragment must not overwrite the transport header.
                    let ends = cut.saturating_sub(payload.len()) + TCP_HEADER;
                    if part.is_some_and(|part| part.more) && ends > LATER_FRAGMENT_MIN {
                        return Err(Malformed::Fragment);
                    }
                }
                FRAGMENT if part.is_some() => return Err(Malformed::Header),
                FRAGMENT => {
                    let (head, rest) =
                        payload.split_first_chunk::<FRAGMENT_HEADER>().ok_or(Malformed::Short)?;
                    let field = u16::from_be_bytes([head[2], head[3]]);
                    let id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
                    let here = FragmentPart {
                        offset: usize::from(field & 0xfff8),
                        more: field & 1 != 0,
                        fragment: Fragment { id, protocol: head[0] },
                    };
                    (next, payload, part, cut) = (head[0], rest, Some(here), rest.len());
                    if here.offset != 0 {
                        return Ok(Self { protocol: next, payload, part });
                    }
                }
                protocol => return Ok(Self { protocol, payload, part }),
            }
        }
        Err(Malformed::Header)
    }
}

/// Refuses IPv4 options that do not end with the header, and source routes.
pub(super) fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    while let Some((kind, rest)) = options.split_first() {
        options = match *kind {
            END_OF_OPTIONS => return Ok(()),
            NO_OPERATION => rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Malformed::SourceRouted),
            _ => {
                let len = usize::from(*rest.first().ok_or(Malformed::Header)?);
                options.get(len..).filter(|_| len >= 2).ok_or(Malformed::Header)?
            }
        };
    }
    Ok(())
}

/// Source and destination port: the first four bytes of TCP, UDP and SCTP.
pub(super) fn ports(header: &[u8]) -> Option<(u16, u16)> {
    let bytes = header.first_chunk::<4>()?;
    Some((u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]])))
}
