//! DNS: which queries the agent's resolver answers itself, and which it forwards.
//!
//! A [`Zone`] is built from the network map and answers whole DNS packets. Queries for the network's domain and the mesh's
//! reverse zones are never forwarded. The coordinator may only name hosts below the network's domain and the domains in this
//! machine's settings, at mesh addresses.

use std::{collections::HashMap, net::IpAddr};

use common::mesh;
use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR},
    },
};
use ipnet::IpNet;

use crate::domain::Domain;

/// TTL of records, in seconds; short, so that changes are seen soon.
const TTL: u32 = 30;
/// Longest answer over UDP without EDNS (RFC 1035, section 2.3.4).
const UDP_MIN: usize = 512;
/// Longest answer over UDP; avoids fragments (RFC 9715).
const UDP_MAX: u16 = 1232;
/// A DNS header's length.
const HEADER: usize = 12;

/// The transport of a query, which limits the answer's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream, with a length before each message.
    Tcp,
}

/// How a query is handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send this back.
    Reply(Vec<u8>),
    /// Forward it to the previous resolvers.
    Forward,
    /// Not a query: ignore it.
    Drop,
}

/// The names of one network map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// The network's domain; `None` before the first map.
    domain: Option<Domain>,
    /// Further domains in which names are accepted.
    others: Vec<Domain>,
    forward: HashMap<String, Vec<IpAddr>>,
    reverse: HashMap<IpAddr, Name>,
}

impl Zone {
    /// An empty zone for the network's domain and `others`.
    #[must_use]
    pub fn new(domain: Option<Domain>, others: &[Domain]) -> Self {
        Self { domain, others: others.to_vec(), ..Self::default() }
    }

    /// Adds a node's full name and the reverse records of its addresses. Foreign names and addresses are ignored.
    pub fn add_node(&mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let Some(full) = self.host(name).and_then(|host| Name::from_ascii(host + ".").ok()) else {
            return;
        };
        for address in addresses.into_iter().filter(|address| mesh::contains(*address)) {
            self.reverse.entry(address).or_insert_with(|| full.clone());
            self.add_record(name, address);
        }
    }

    /// Adds an address of a full name, unless name or address is foreign.
    pub fn add_record(&mut self, name: &str, address: IpAddr) {
        let Some(host) = self.host(name).filter(|_| mesh::contains(address)) else { return };
        let addresses = self.forward.entry(host).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// The normalized name, if it may be set.
    fn host(&self, name: &str) -> Option<String> {
        self.domain.iter().chain(&self.others).find_map(|domain| domain.host(name))
    }

    /// Addresses of a full name; empty if it has none.
    #[must_use]
    pub fn lookup(&self, name: &str) -> &[IpAddr] {
        self.forward.get(&key(name)).map_or(&[], Vec::as_slice)
    }

    /// Handles one packet that the resolver received.
    #[must_use]
    pub fn answer(&self, packet: &[u8], transport: Transport) -> Answer {
        self.answer_showing(packet, transport, |_| true)
    }

    /// [`Self::answer`] for somebody who may know only of some addresses: for it there are no others, nor their names.
    #[must_use]
    pub fn answer_showing(
        &self,
        packet: &[u8],
        transport: Transport,
        is_shown: impl Fn(IpAddr) -> bool,
    ) -> Answer {
        let Ok(request) = Message::from_vec(packet) else {
            return unreadable(packet);
        };
        if request.metadata.message_type != MessageType::Query {
            return Answer::Drop;
        }
        if request.metadata.op_code != OpCode::Query {
            return reply(&request, ResponseCode::NotImp, Vec::new(), transport);
        }
        let [query] = request.queries.as_slice() else {
            return reply(&request, ResponseCode::FormErr, Vec::new(), transport);
        };
        match self.resolve(query, is_shown) {
            Some((code, records)) => reply(&request, code, records, transport),
            None => Answer::Forward,
        }
    }

    /// The answer to a query about the zone's names; `None` for other names.
    fn resolve(
        &self,
        query: &Query,
        is_shown: impl Fn(IpAddr) -> bool,
    ) -> Option<(ResponseCode, Vec<Record>)> {
        if query.query_class != DNSClass::IN {
            return None;
        }
        let name = key(&query.name.to_ascii());
        let shown = |all: &[IpAddr]| -> Vec<_> {
            all.iter().copied().filter(|address| is_shown(*address)).collect()
        };
        let known = self.forward.get(&name).map(|all| shown(all));
        if let Some(addresses) = known.as_ref().filter(|addresses| !addresses.is_empty()) {
            let records = addresses.iter().filter_map(|address| record(query, *address));
            return Some((ResponseCode::NoError, records.collect()));
        }
        if let Some(address) = mesh_pointer(&query.name) {
            return Some(match is_shown(address) {
                true => self.pointer(query, address),
                false => (ResponseCode::NXDomain, Vec::new()),
            });
        }
        let domain = self.domain.as_ref().filter(|domain| is_below(&name, domain.as_str()));
        // A name that is not shown is not asked of others either.
        if domain.is_none() && known.is_none() {
            return None;
        }
        // An intermediate name (empty non-terminal) exists without an address.
        let mut names = self.forward.iter();
        let exists = domain.is_some_and(|domain| name == domain.as_str())
            || names.any(|(known, all)| is_below(known, &name) && !shown(all).is_empty());
        let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
        Some((code, Vec::new()))
    }

    fn pointer(&self, query: &Query, address: IpAddr) -> (ResponseCode, Vec<Record>) {
        let Some(name) = self.reverse.get(&address) else {
            return (ResponseCode::NXDomain, Vec::new());
        };
        let mut records = Vec::new();
        if matches!(query.query_type, RecordType::PTR | RecordType::ANY) {
            let data = RData::PTR(PTR(name.clone()));
            records.push(Record::from_rdata(query.name.clone(), TTL, data));
        }
        (ResponseCode::NoError, records)
    }
}

/// Whether a packet is a response to a query, by its header.
#[must_use]
pub fn is_answer(packet: &[u8], query: &[u8]) -> bool {
    packet.len() >= HEADER && packet.get(..2) == query.get(..2) && packet[2] & 0x80 != 0
}

/// SERVFAIL for a query, without sections.
#[must_use]
pub fn failure(query: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER];
    let len = query.len().min(HEADER);
    header[..len].copy_from_slice(&query[..len]);
    // QR set, opcode and RD as asked; RA, SERVFAIL; no sections.
    header[2] = 0x80 | (header[2] & 0x79);
    header[3] = 0x82;
    header[4..].fill(0);
    header.to_vec()
}

/// A normalized name: lower case, no dot at the end.
fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `name` is `domain` or lies below it; both as [`key`] writes them.
fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|left| left.is_empty() || left.ends_with('.'))
}

fn record(query: &Query, address: IpAddr) -> Option<Record> {
    let any = query.query_type == RecordType::ANY;
    let data = match address {
        IpAddr::V4(address) if any || query.query_type == RecordType::A => RData::A(A(address)),
        IpAddr::V6(address) if any || query.query_type == RecordType::AAAA => {
            RData::AAAA(AAAA(address))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => return None,
    };
    Some(Record::from_rdata(query.name.clone(), TTL, data))
}

/// The mesh address of a name in a reverse zone.
fn mesh_pointer(name: &Name) -> Option<IpAddr> {
    let mut name = name.clone();
    name.set_fqdn(true);
    let net: IpNet = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len() && mesh::contains(net.addr())).then(|| net.addr())
}

fn reply(
    request: &Message,
    code: ResponseCode,
    records: Vec<Record>,
    transport: Transport,
) -> Answer {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata = Metadata::response_from_request(&request.metadata);
    message.metadata.authoritative = true;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_queries(request.queries.iter().cloned());
    message.add_answers(records);
    let mut limit = UDP_MIN;
    if let Some(asked) = &request.edns {
        limit = usize::from(asked.max_payload().min(UDP_MAX)).max(UDP_MIN);
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX);
        message.set_edns(edns);
    }
    if transport == Transport::Tcp {
        limit = usize::from(u16::MAX);
    }
    match message.to_vec() {
        Ok(bytes) if bytes.len() <= limit => Answer::Reply(bytes),
        Ok(_) => message.truncate().to_vec().map_or(Answer::Drop, Answer::Reply),
        Err(_) => Answer::Drop,
    }
}

/// The reply to an invalid DNS message: FORMERR if it looks like a query.
fn unreadable(packet: &[u8]) -> Answer {
    let Some(header) = packet.first_chunk::<HEADER>() else {
        return Answer::Drop;
    };
    if header[2] & 0x80 != 0 {
        return Answer::Drop;
    }
    let id = u16::from_be_bytes([header[0], header[1]]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)
        .to_vec()
        .map_or(Answer::Drop, Answer::Reply)
}

#[cfg(test)]
mod tests;
