//! A channel that counts towards its device's limit of connections once the device has sent data in it.
//!
//! Not before: the first handshake message could be a recorded one, and whoever replays it must not use up the
//! connections of the device. Data inside the channel nobody else can send.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use chassis::quota::{Permit, Quota};
use control_protocol::key::MachinePublic;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// The channel.
pub(super) struct Counted<IO> {
    io: IO,
    machine: MachinePublic,
    channels: Quota<MachinePublic>,
    counted: Option<Permit<MachinePublic>>,
    begun: CancellationToken,
}

impl<IO> Counted<IO> {
    /// `begun` is cancelled when the device has sent data.
    pub(super) fn new(
        io: IO,
        machine: MachinePublic,
        channels: Quota<MachinePublic>,
        begun: CancellationToken,
    ) -> Self {
        Self { io, machine, channels, counted: None, begun }
    }

    fn count(&mut self) -> io::Result<()> {
        if self.counted.is_none() {
            self.counted = self.channels.take(self.machine).ok();
            self.begun.cancel();
        }
        match self.counted {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "too many channels")),
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
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

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
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
            (Counted::new(ours, machine, channels.clone(), begun.clone()), theirs, begun)
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
