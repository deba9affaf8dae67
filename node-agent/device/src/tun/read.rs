//! Reads packets from the TUN.

use std::{io, os::fd::AsRawFd};

use super::Tun;
use crate::{
    batch::{Batch, NO_TAG, PADDING},
    split::Split,
    sys::check_len,
    vnet,
};

/// Longest packet from the kernel: the limit of an IP header.
const MAX_PACKET: usize = 65_535;

/// Reads packets and segments them directly into the batch for sealing.
pub(crate) struct Reader {
    buffer: Box<[u8]>,
    /// Bytes of [`Self::buffer`] that were read.
    len: usize,
    /// The unfinished segmentation of the packet in the buffer.
    pending: Option<Split>,
    /// Whether the last read found no packet.
    is_drained: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let buffer = vec![0; vnet::LEN + MAX_PACKET].into_boxed_slice();
        Self { buffer, len: 0, pending: None, is_drained: true }
    }

    /// Whether to wait until the descriptor is readable.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained && self.pending.is_none()
    }

    /// Reads available packets, as many as fit. A super-packet is split over two batches only if it fits into none. Returns how
    /// many packets were dropped because they cannot be sent.
    ///
    /// # Errors
    ///
    /// The interface was removed. Without packets the batch is empty.
    pub(crate) fn read_batch(&mut self, tun: &Tun, packets: &mut Batch) -> io::Result<usize> {
        let mut dropped = 0;
        loop {
            if let Some(split) = &mut self.pending {
                let packet = &self.buffer[vnet::LEN..self.len];
                if !packets.is_empty() && packets.left() < split.left() {
                    return Ok(dropped);
                }
                while split.left() > 0 {
                    let Some(room) = packets.room(tun.mtu + PADDING) else { return Ok(dropped) };
                    let Some(len) = split.next_into(packet, room) else { break };
                    packets.commit_padded(len, NO_TAG);
                }
                self.pending = None;
            }
            self.is_drained = packets.left() > 0 && !self.read(tun)?;
            if self.is_drained || packets.left() == 0 {
                return Ok(dropped);
            }
            dropped += usize::from(self.pending.is_none());
        }
    }

    /// Reads one packet. Returns whether there was one.
    fn read(&mut self, tun: &Tun) -> io::Result<bool> {
        loop {
            let (to, len) = (self.buffer.as_mut_ptr(), self.buffer.len());
            // SAFETY: the buffer is valid for its length.
            let len = unsafe { libc::read(tun.file.as_raw_fd(), to.cast(), len) };
            match check_len(len) {
                Ok(len) => {
                    self.len = len;
                    self.pending = begin(&self.buffer[..len], tun.mtu);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // EIO: the interface is down. It may come up again.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Starts segmenting a read header and packet. `None` if it cannot be sent.
fn begin(read: &[u8], mtu: usize) -> Option<Split> {
    let (header, packet) = read.split_first_chunk()?;
    let split = Split::new(&vnet::Header::parse(header)?, packet, mtu);
    if split.is_none() {
        tracing::debug!(
            len = packet.len(),
            "dropped a packet of the interface that cannot be sent"
        );
    }
    split
}
