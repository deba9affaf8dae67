//! Packets to the kernel.

use std::io::{self, IoSlice, Write as _};

use super::{Tun, verdict::Verdicts};
use crate::{
    batch::Batch,
    coalesce::{CoalescedProtocols, Coalescer, MAX_PACKETS},
    offload::{Feature, OffloadState},
    vnet,
};

/// Parts of a write: both headers, and the content of each packet.
const MAX_PARTS: usize = 1 + MAX_PACKETS;

/// Which packets may be put together for the TUN.
pub(crate) fn allowed(switches: &OffloadState) -> CoalescedProtocols {
    CoalescedProtocols {
        tcp_v4: switches.has(Feature::Tso4),
        tcp_v6: switches.has(Feature::Tso6),
        udp: switches.has(Feature::Uso),
    }
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteResult {
    /// Bytes of the packets that the kernel took.
    pub(crate) bytes: usize,
    /// How many packets it did not take.
    pub(crate) lost: usize,
}

impl Tun {
    /// Gives all units to the kernel. What it does not take (interface down, queue full) is lost; a unit that it refuses as
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

/// Packets that are being written. A write is one super-packet, or one packet.
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

    /// Writes a unit of several packets at once. Says whether that is done; if not, it is written packet by packet.
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
                    self.switches.say_refused(feature, &error);
                    if self.verdicts.note_refused(headers.kind) {
                        self.switches.pause(feature);
                    }
                    false
                }
                // No memory for the whole; there may be for one packet.
                Some(libc::ENOMEM | libc::ENOBUFS) => false,
                _ => {
                    tracing::trace!(%error, "packets not taken by the interface");
                    self.written.lost += units.packets(unit).count();
                    true
                }
            },
        }
    }

    /// Writes a packet as it is.
    fn singly(&mut self, at: usize) {
        let packet = self.packets.get(at);
        let header = vnet::Header::default().write();
        match (self.write)(&[IoSlice::new(&header), IoSlice::new(packet)]) {
            Ok(_) => self.written.bytes += packet.len(),
            Err(error) => {
                tracing::trace!(%error, "packet not taken by the interface");
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
