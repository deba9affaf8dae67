//! Packets from the kernel.

use std::{io, os::fd::AsRawFd};

use super::Tun;
use crate::{
    batch::{Batch, NO_TAG, PADDING},
    split::Split,
    sys::check_len,
    vnet,
};

/// Longest packet that the kernel gives: as long as an IP header can tell.
const MAX_PACKET: usize = 65_535;

/// Reads packets and cuts them into segments, straight into the batch that is sealed.
pub(crate) struct Reader {
    buffer: Box<[u8]>,
    /// Bytes of [`Self::buffer`] that were read.
    len: usize,
    /// What is left of the packet in the buffer.
    pending: Option<Split>,
    /// Whether the kernel had nothing more when it was last asked.
    is_drained: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let buffer = vec![0; vnet::LEN + MAX_PACKET].into_boxed_slice();
        Self { buffer, len: 0, pending: None, is_drained: true }
    }

    /// Whether there is nothing to read until the kernel says so.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained && self.pending.is_none()
    }

    /// Reads the packets that are there, as many as fit. A super-packet is cut over two batches only if none would hold it.
    /// Returns how many cannot be sent; they are dropped.
    ///
    /// # Errors
    ///
    /// Only if the interface is gone; "nothing there" is an empty batch.
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

    /// Reads one packet. Says whether there was one.
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

/// Begins with what was read: a header and a packet. `None` if it cannot be sent.
fn begin(read: &[u8], mtu: usize) -> Option<Split> {
    let (header, packet) = read.split_first_chunk()?;
    let split = Split::new(&vnet::Header::parse(header)?, packet, mtu);
    if split.is_none() {
        tracing::debug!(len = packet.len(), "packet of the interface that cannot be sent dropped");
    }
    split
}
