//! Forwarded TCP connections that outlive a restart of the agent.
//!
//! Without a rule that asks for connections the kernel stops to follow them. Once there is one again, it keeps those that it
//! knew, but takes the next packet of each for how far it is (`nf_ct_tcp_fixup`, `net/netfilter/nf_conntrack_proto.c`). If that
//! one is sent again because its answer was lost, the answer is about later bytes: it counts as part of no connection, is dropped
//! each time, and the connection stands still for good. So these are followed as the kernel follows those that it meets in their
//! middle: it does not judge sequence numbers, which both ends do themselves.

use std::io;

use common::mesh;
use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_DUMP, Nla as _};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    conntrack::{
        ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple,
        Protocol, Tuple,
    },
};
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::netlink::{ask, ask_each};

/// Connections that are kept: each costs time at the start of the agent.
const MOST: usize = 65_536;
/// Sequence numbers are not judged (`IP_CT_TCP_FLAG_BE_LIBERAL`, `linux/netfilter/nf_conntrack_tcp.h`).
const LIBERAL: u8 = 8;
/// Flags of each side, and which of them are meant (`CTA_PROTOINFO_TCP_FLAGS_*`, `linux/netfilter/nfnetlink_conntrack.h`).
const FLAGS: [u16; 2] = [4, 5];
/// Who began a connection, and to where (`CTA_TUPLE_ORIG`).
const ORIGINAL: u16 = 1;
/// The zone of a connection, a part of its name (`CTA_ZONE`).
const ZONE: u16 = 18;

/// Keeps the TCP connections of mesh addresses from before the table, the first [`MOST`]. One that ends meanwhile is none.
///
/// Members open connections, up to as many as the kernel follows: each is changed as it is read, and none is kept in memory.
pub(super) fn pick_up() -> io::Result<()> {
    let every = message(NetfilterProtoFamily::Unspec, ConntrackMessage::Get(Vec::new()));
    let mut ours = 0_usize;
    ask_each(NETLINK_NETFILTER, every, NLM_F_DUMP, |found| {
        let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = found.inner
        else {
            return;
        };
        if !attributes.iter().any(is_ours) {
            return;
        }
        ours += 1;
        if ours > MOST {
            return;
        }
        let change = message(found.header.family, ConntrackMessage::New(liberal(attributes)));
        if let Err(error) = ask(NETLINK_NETFILTER, change, NLM_F_ACK) {
            tracing::debug!(%error, "a connection from before has ended");
        }
    })?;
    if ours > MOST {
        tracing::warn!(
            connections = ours - MOST,
            "some connections from before may stand still: there are too many"
        );
    }
    Ok(())
}

fn message(family: NetfilterProtoFamily, inner: ConntrackMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), inner)
}

/// Whether it says that TCP of a mesh address began the connection, or is its aim.
fn is_ours(attribute: &ConntrackAttribute) -> bool {
    let ConntrackAttribute::CtaTupleOrig(tuples) = attribute else { return false };
    let is_mesh = |part: &IPTuple| matches!(part, IPTuple::SourceAddress(it) | IPTuple::DestinationAddress(it) if mesh::contains(*it));
    let is_tcp = |part: &ProtoTuple| *part == ProtoTuple::Protocol(Protocol::Tcp);
    let has = |is: &dyn Fn(&Tuple) -> bool| tuples.iter().any(is);
    has(&|tuple| matches!(tuple, Tuple::Ip(parts) if parts.iter().any(is_mesh)))
        && has(&|tuple| matches!(tuple, Tuple::Proto(parts) if parts.iter().any(is_tcp)))
}

/// The change of a connection that has these attributes.
fn liberal(mut attributes: Vec<ConntrackAttribute>) -> Vec<ConntrackAttribute> {
    attributes.retain(|attribute| [ORIGINAL, ZONE].contains(&attribute.kind()));
    let flags = FLAGS.map(|side| ProtoInfoTCP::Other(DefaultNla::new(side, vec![LIBERAL; 2])));
    attributes.push(ConntrackAttribute::CtaProtoInfo(vec![ProtoInfo::TCP(flags.to_vec())]));
    attributes
}
