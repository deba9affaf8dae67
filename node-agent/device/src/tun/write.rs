//! Packets to the kernel.

use std::{io, os::fd::AsRawFd};

use super::Tun;
use crate::{
    batch::Batch,
    coalesce::{Allowed, Coalescer, Headers, MAX_PACKETS},
    offload::{Feature, Switches},
    sys::check_len,
    vnet,
};

/// Parts of a write: both headers, and the content of each packet.
const MAX_PARTS: usize = 1 + MAX_PACKETS;

/// Which packets may be put together for the TUN.
pub(crate) fn allowed(switches: &Switches) -> Allowed {
    Allowed {
        tcp_v4: switches.has(Feature::Tso4),
        tcp_v6: switches.has(Feature::Tso6),
        udp: switches.has(Feature::Uso),
    }
}

impl Tun {
    /// Gives all units to the kernel. What it does not take (interface down, queue full) is lost; a unit that it refuses as
    /// such is written packet by packet, and units of its kind are made no more. Returns how many packets were lost.
    pub(crate) fn write(&self, packets: &Batch, units: &Coalescer, switches: &Switches) -> usize {
        (0..units.len()).map(|unit| self.write_unit(packets, units, unit, switches)).sum()
    }

    fn write_unit(
        &self,
        packets: &Batch,
        units: &Coalescer,
        unit: usize,
        switches: &Switches,
    ) -> usize {
        let Some(headers) = units.headers(packets, unit) else {
            return units.packets(unit).map(|at| self.write_packet(packets.get(at))).sum();
        };
        let contents = units.packets(unit).map(|at| &packets.get(at)[headers.content..]);
        match self.write_parts(&headers, contents) {
            Ok(_) => 0,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                switches.switch_off(feature(headers.kind), &error);
                units.packets(unit).map(|at| self.write_packet(packets.get(at))).sum()
            }
            Err(error) => {
                tracing::trace!(%error, "packets not taken by the interface");
                units.packets(unit).count()
            }
        }
    }

    fn write_parts<'a>(
        &self,
        headers: &Headers,
        contents: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let mut parts = [part(&[]); MAX_PARTS];
        parts[0] = part(headers.bytes());
        let mut count = 1;
        for (slot, content) in parts[1..].iter_mut().zip(contents) {
            *slot = part(content);
            count += 1;
        }
        self.write_vector(&parts[..count])
    }

    /// Writes a packet as it is. Returns 1 if it was lost.
    fn write_packet(&self, packet: &[u8]) -> usize {
        let header = vnet::Header::default().write();
        match self.write_vector(&[part(&header), part(packet)]) {
            Ok(_) => 0,
            Err(error) => {
                tracing::trace!(%error, "packet not taken by the interface");
                1
            }
        }
    }

    fn write_vector(&self, parts: &[libc::iovec]) -> io::Result<usize> {
        let count = parts.len() as libc::c_int;
        // SAFETY: each part points to bytes that outlive the call; the kernel reads them only.
        check_len(unsafe { libc::writev(self.file.as_raw_fd(), parts.as_ptr(), count) })
    }
}

fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn feature(kind: vnet::Kind) -> Feature {
    match kind {
        vnet::Kind::TcpV4 => Feature::Tso4,
        vnet::Kind::TcpV6 => Feature::Tso6,
        vnet::Kind::Udp => Feature::Uso,
    }
}
