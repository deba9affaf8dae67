//! Requests to the kernel by a plain netlink socket.
//!
//! A library that also logs messages could log a private key.

use std::{fmt::Debug, io};

use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::Socket;

/// A message of a protocol of netlink.
pub(crate) trait Message:
    Clone + Debug + Eq + NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<Self>>
{
}

impl<M> Message for M where
    M: Clone + Debug + Eq + NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<M>>
{
}

/// Sends a request by a protocol of netlink, and returns the kernel's answers.
pub(crate) fn ask<M: Message>(protocol: isize, message: M, flags: u16) -> io::Result<Vec<M>> {
    let mut answers = Vec::new();
    ask_each(protocol, message, flags, |answer| answers.push(answer))?;
    Ok(answers)
}

/// The same, for answers that are too many to keep: `take` gets one after the other.
pub(crate) fn ask_each<M: Message>(
    protocol: isize,
    message: M,
    flags: u16,
    mut take: impl FnMut(M),
) -> io::Result<()> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    bytes.fill(0);
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let answer = NetlinkMessage::<M>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            // Messages begin at multiples of four.
            let len = (answer.header.length as usize).next_multiple_of(4);
            rest = rest.get(len.max(1)..).unwrap_or_default();
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => take(message),
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(()),
                        Some(_) => Err(error.to_io()),
                    };
                }
                NetlinkPayload::Done(_) => return Ok(()),
                // Neither says anything; nor would another one.
                NetlinkPayload::Noop | NetlinkPayload::Overrun(_) | _ => {}
            }
        }
    }
}
