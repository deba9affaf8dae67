//! A stream that takes a permit of its device's quota when the device first sends data.
//!
//! Not before: a handshake message can be recorded and replayed, and a replay must not use up the quota of the device. Only
//! the device can send data in the channel.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use chassis::quota::{Permit, Quota};
use control_protocol::key::MachinePublic;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// The stream.
pub(super) struct QuotaStream<IO> {
    io: IO,
    machine: MachinePublic,
    channels: Quota<MachinePublic>,
    permit: Option<Permit<MachinePublic>>,
    begun: CancellationToken,
}

impl<IO> QuotaStream<IO> {
    /// `begun` is cancelled when the device has sent data.
    pub(super) fn new(
        io: IO,
        machine: MachinePublic,
        channels: Quota<MachinePublic>,
        begun: CancellationToken,
    ) -> Self {
        Self { io, machine, channels, permit: None, begun }
    }

    fn count(&mut self) -> io::Result<()> {
        if self.permit.is_none() {
            self.permit = self.channels.take(self.machine).ok();
            self.begun.cancel();
        }
        match self.permit {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "too many channels")),
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for QuotaStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.count()?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for QuotaStream<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_channel_counts_once_something_was_said_in_it() {
        let (machine, channels) = (MachinePublic::from_bytes([1; 32]), crate::limits::channels());
        let open = || {
            let (ours, theirs) = tokio::io::duplex(64);
            let begun = CancellationToken::new();
            (QuotaStream::new(ours, machine, channels.clone(), begun.clone()), theirs, begun)
        };
        // As many as somebody can replay.
        let silent: Vec<_> = (0..10).map(|_| open()).collect();
        assert!(!channels.is_full(&machine));

        let mut held = Vec::new();
        for _ in 0..4 {
            let (mut channel, mut device, begun) = open();
            device.write_all(b"PRI").await.unwrap();
            assert!(!begun.is_cancelled());
            channel.read_u8().await.unwrap();
            assert!(begun.is_cancelled());
            held.push((channel, device));
        }
        let (mut fifth, mut device, _) = open();
        device.write_all(b"PRI").await.unwrap();

        assert_eq!(fifth.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        drop((silent, held));
        assert!(!channels.is_full(&machine));
    }
}
