//! Writes packets to the TUN.

use std::io::{self, IoSlice, Write as _};

use super::{Tun, verdict::Verdicts};
use crate::{
    batch::Batch,
    coalesce::{CoalescedProtocols, Coalescer, MAX_PACKETS},
    offload::{Feature, OffloadState},
    vnet,
};

/// Parts of a write: the headers, and the content of each packet.
const MAX_PARTS: usize = 1 + MAX_PACKETS;

/// The protocols to coalesce for the TUN.
pub(crate) fn allowed(switches: &OffloadState) -> CoalescedProtocols {
    CoalescedProtocols {
        tcp_v4: switches.has(Feature::Tso4),
        tcp_v6: switches.has(Feature::Tso6),
        udp: switches.has(Feature::Uso),
    }
}

/// The result of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteResult {
    /// Bytes of the accepted packets.
    pub(crate) bytes: usize,
    /// How many packets were not accepted.
    pub(crate) lost: usize,
}

impl Tun {
    /// Writes all units. On an error (interface down, queue full) packets are lost; a super-packet that the kernel refuses as
    /// such is written packet by packet ([`Verdicts`]).
    pub(crate) fn write(
        &self,
        packets: &Batch,
        units: &Coalescer,
        switches: &OffloadState,
    ) -> WriteResult {
        let write = |parts: &[IoSlice<'_>]| (&self.file).write_vectored(parts);
        UnitWriter::new(packets, &self.verdicts, switches, write).all(units)
    }
}

/// Writes units: each write is one super-packet, or one packet.
struct UnitWriter<'a, W> {
    packets: &'a Batch,
    verdicts: &'a Verdicts,
    switches: &'a OffloadState,
    write: W,
    written: WriteResult,
}

impl<'a, W: Fn(&[IoSlice<'_>]) -> io::Result<usize>> UnitWriter<'a, W> {
    fn new(
        packets: &'a Batch,
        verdicts: &'a Verdicts,
        switches: &'a OffloadState,
        write: W,
    ) -> Self {
        Self { packets, verdicts, switches, write, written: WriteResult::default() }
    }

    fn all(mut self, units: &Coalescer) -> WriteResult {
        for unit in 0..units.len() {
            if !self.together(units, unit) {
                units.packets(unit).for_each(|at| self.singly(at));
            }
        }
        self.written
    }

    /// Writes a unit of several packets at once. Returns `false` if it must be written packet by packet.
    fn together(&mut self, units: &Coalescer, unit: usize) -> bool {
        let packets = self.packets;
        let Some(headers) = units.headers(packets, unit) else { return false };
        let mut parts = [IoSlice::new(&[]); MAX_PARTS];
        parts[0] = IoSlice::new(headers.bytes());
        let mut count = 1;
        for (part, at) in parts[1..].iter_mut().zip(units.packets(unit)) {
            *part = IoSlice::new(&packets.get(at)[headers.content..]);
            count += 1;
        }
        match (self.write)(&parts[..count]) {
            Ok(_) => {
                self.verdicts.note_taken(headers.kind);
                self.written.bytes +=
                    units.packets(unit).map(|at| packets.get(at).len()).sum::<usize>();
                true
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EINVAL) => {
                    let feature = feature(headers.kind);
                    self.switches.log_refused(feature, &error);
                    if self.verdicts.note_refused(headers.kind) {
                        self.switches.pause(feature);
                    }
                    false
                }
                // There may be memory for single packets.
                Some(libc::ENOMEM | libc::ENOBUFS) => false,
                _ => {
                    tracing::trace!(%error, "packets not accepted by the interface");
                    self.written.lost += units.packets(unit).count();
                    true
                }
            },
        }
    }

    /// Writes one packet.
    fn singly(&mut self, at: usize) {
        let packet = self.packets.get(at);
        let header = vnet::Header::default().write();
        match (self.write)(&[IoSlice::new(&header), IoSlice::new(packet)]) {
            Ok(_) => self.written.bytes += packet.len(),
            Err(error) => {
                tracing::trace!(%error, "packet not accepted by the interface");
                self.written.lost += 1;
            }
        }
    }
}

fn feature(kind: vnet::Kind) -> Feature {
    match kind {
        vnet::Kind::TcpV4 => Feature::Tso4,
        vnet::Kind::TcpV6 => Feature::Tso6,
        vnet::Kind::Udp => Feature::Uso,
    }
}

#[cfg(test)]
mod tests;
