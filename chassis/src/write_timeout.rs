//! A stream with a write timeout: without it, a peer that stops reading would block the writer for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Default timeout of a network stream.
pub const LONGEST: Duration = Duration::from_secs(60);

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] if none makes progress. Use it below TLS, which buffers.
#[derive(Debug)]
pub struct WriteTimeout<S> {
    stream: S,
    longest: Duration,
    /// Runs while a write is pending.
    timer: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> WriteTimeout<S> {
    /// `longest` limits the time until the peer reads some of a write.
    #[must_use]
    pub fn new(stream: S, longest: Duration) -> Self {
        Self { stream, longest, timer: Box::pin(sleep(longest)), waits: false }
    }

    /// Replaces a pending write by an error after the timeout.
    fn limited(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        if !self.waits {
            self.waits = true;
            self.timer.set(sleep(self.longest));
        }
        self.timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limited(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.limited(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    const LONGEST: Duration = Duration::from_secs(3);

    #[tokio::test]
    async fn who_stops_reading_is_given_up_and_who_is_slow_is_not() {
        let (mut reader, writer) = duplex(8);
        let mut writer = WriteTimeout::new(writer, LONGEST);
        // All of it takes longer than the limit.
        let slow = async {
            for _ in 0..5 {
                sleep(LONGEST / 3).await;
                reader.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(writer.write_all(&[7; 13]), slow);
        written.unwrap();

        let stopped = Instant::now();
        let error = writer.write_all(&[7; 13]).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(stopped.elapsed() >= LONGEST);
    }
}
