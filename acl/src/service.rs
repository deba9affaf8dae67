//! Ports, protocols and destinations with ports.

use std::net::Ipv6Addr;

use crate::{document::Document, selector::Selector};

/// Protocol numbers by name (IANA protocol numbers).
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipv4", 4),
    ("ip-in-ip", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("sctp", 132),
    ("fc", 133),
];
/// The protocols that have ports: TCP, UDP and SCTP.
const WITH_PORTS: [u8; 3] = [6, 17, 132];

/// Most ports and ranges of one list.
const RANGES_MAX: usize = 256;

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ports {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Ports {
    /// Every port.
    pub(crate) const ALL: Self = Self { first: 0, last: u16::MAX };
}

/// Reads `who:ports`; the last colon divides, so that IPv6 works, with or without brackets.
pub(crate) fn destination(
    document: &Document,
    text: &str,
) -> Result<(Selector, Vec<Ports>), String> {
    let wrong = |what: &str, reason: String| format!("dst=\"{what}\": {reason}");
    let read = || {
        let (who, list) = split(text).map_err(|reason| wrong(text, reason))?;
        let ports = ports(list).map_err(|reason| wrong(text, reason))?;
        let selector = Selector::parse(&who, document).map_err(|reason| wrong(&who, reason))?;
        Ok((selector, ports))
    };
    // Checked after parsing failed: the last group of an IPv6 address may be a port.
    read().map_err(|error| match without_ports(text) {
        Some(reason) => wrong(text, reason),
        None => error,
    })
}

/// The reason if the text is an IPv6 address or network without ports.
fn without_ports(text: &str) -> Option<String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, format!("/{length}")),
        None => (text, String::new()),
    };
    let inside = address.strip_prefix('[').and_then(|inside| inside.strip_suffix(']'));
    let address: Ipv6Addr = inside.unwrap_or(address).parse().ok()?;
    Some(format!(
        "the ports are missing: write [{address}]{length}:443, for instance, or [{address}]{length}:*"
    ))
}

/// Splits a destination into selector and ports.
fn split(text: &str) -> Result<(String, &str), String> {
    let brackets =
        || format!("square brackets are only valid around IPv6 addresses: \"{text}\" has others");
    let Some((who, ports)) = text.rsplit_once(':') else {
        return Err("hostport must contain a colon: add the ports, such as :443 or :*".to_owned());
    };
    if who.is_empty() {
        return Err("input cannot start with a colon character: say whose ports".to_owned());
    }
    if ports.is_empty() {
        return Err("input cannot end with a colon character: add the ports".to_owned());
    }
    let Some(inside) = who.strip_prefix('[') else { return Ok((who.to_owned(), ports)) };
    let (address, length) = inside.split_once(']').ok_or_else(brackets)?;
    if address.parse::<Ipv6Addr>().is_err() || !(length.is_empty() || length.starts_with('/')) {
        return Err(brackets());
    }
    Ok((format!("{address}{length}"), ports))
}

/// Reads a grant's `ip`: `*`, ports, or `protocol:ports`.
pub(crate) fn service(text: &str) -> Result<(Vec<u8>, Vec<Ports>), String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [list] => Ok((Vec::new(), ports(list)?)),
        [name, list] => Ok((protocol(name)?, ports(list)?)),
        _ => Err(format!(
            "expected only one colon in Internet protocol and port type, got: \"{text}\": write tcp:443, for instance"
        )),
    }
}

/// Reads `*`, `22`, `80-90` or a list of such without `*`.
pub(crate) fn ports(text: &str) -> Result<Vec<Ports>, String> {
    if text == "*" {
        return Ok(vec![Ports::ALL]);
    }
    if text.split(',').nth(RANGES_MAX).is_some() {
        return Err(format!(
            "a list of ports has at most {RANGES_MAX} of them: write ranges, such as 80-90"
        ));
    }
    let range = |part: &str| {
        if !part.contains('-') {
            let port = port(part)?;
            if port == 0 {
                return Err("first port must be >0, or use '*' for wildcard");
            }
            return Ok(Ports { first: port, last: port });
        }
        let ends: Vec<&str> = part.split('-').filter(|end| !end.is_empty()).collect();
        let [first, last] = ends[..] else { return Err("invalid port range format") };
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err("invalid port range: first port is greater than last port");
        }
        Ok(Ports { first, last })
    };
    let read: Result<Vec<_>, _> = text.split(',').map(range).collect();
    read.map_err(|reason| format!("port range \"{text}\": {reason}: write 443, 80-90, 80,443 or *"))
}

fn port(text: &str) -> Result<u16, &'static str> {
    let number: i64 = text.parse().map_err(|_| "invalid first integer")?;
    u16::try_from(number).map_err(|_| "port number out of range")
}

/// Protocol numbers by name or number; none for the empty name, which means TCP, UDP and ICMP.
pub(crate) fn protocol(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text == "*" {
        let reason = "proto name \"*\" not known; use protocol number 0-255 or protocol name (icmp, tcp, udp, etc.), or \
                      none for TCP, UDP and ICMP";
        return Err(reason.to_owned());
    }
    if let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| *name == text) {
        return Ok(vec![*number]);
    }
    if text.starts_with('0') {
        return Err(format!(
            "leading 0 not permitted in protocol number: \"{text}\": leave it out"
        ));
    }
    let number: i64 = text.parse().map_err(|_| {
        format!(
            "invalid protocol number: \"{text}\" must be a known protocol name or valid protocol number 0-255"
        )
    })?;
    let out = |_| format!("protocol number out of range (0-255): {number}: take one of IANA's");
    u8::try_from(number).map(|number| vec![number]).map_err(out)
}

/// The name of a protocol, or its number.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    let name = PROTOCOLS.iter().find(|(_, known)| *known == number);
    name.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// Whether all these protocols have ports. An empty list stands for TCP, UDP and ICMP, and counts as one with ports.
pub(crate) fn have_ports(protocols: &[u8]) -> bool {
    protocols.iter().all(|number| WITH_PORTS.contains(number))
}
