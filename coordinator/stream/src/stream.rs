//! A byte stream in Noise records over a connection.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use control_protocol::noise::{
    self, MAX_FRAME_LEN, MAX_PLAINTEXT_LEN, NoiseError, Opener, Sealer, Transport,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::early::EarlyPayload;

mod early;

/// Length of the receive buffer, in bytes.
pub(crate) const RECEIVE_LEN: usize = 4 * MAX_FRAME_LEN;
/// Length of the send buffer, in bytes.
const SEND_LEN: usize = 4 * MAX_FRAME_LEN;

/// A byte stream in Noise records over a connection.
///
/// Written data may be buffered, in at most four records, until it is flushed. The end of the connection between two records
/// is the end of the stream. It is not authenticated, so the protocol inside must mark its own end, as HTTP/2 does. Every
/// error is final.
pub struct NoiseStream<IO> {
    io: IO,
    receive: Incoming,
    send: Outgoing,
}

/// Received bytes, sealed and opened.
struct Incoming {
    opener: Opener,
    /// Of [`RECEIVE_LEN`]; empty while nothing is received, since most connections are silent most of the time.
    buffer: Vec<u8>,
    /// Opened bytes: from here,
    plain: usize,
    /// to here.
    plain_end: usize,
    /// Sealed bytes: from here,
    sealed: usize,
    /// to here.
    end: usize,
    early: EarlyPayload,
}

/// Sealed bytes to send.
struct Outgoing {
    sealer: Sealer,
    /// Without memory while there is nothing to send.
    buffer: Vec<u8>,
    sent: usize,
}

impl<IO> NoiseStream<IO> {
    /// Starts after a handshake. `received` has the bytes after the handshake's last message, at most [`RECEIVE_LEN`];
    /// clients set `skip_early`.
    pub(crate) fn new(io: IO, transport: Transport, received: &[u8], skip_early: bool) -> Self {
        let (sealer, opener) = transport.split();
        let mut buffer = vec![0; RECEIVE_LEN];
        buffer[..received.len()].copy_from_slice(received);
        let early = if skip_early { EarlyPayload::default() } else { EarlyPayload::Done };
        let receive = Incoming {
            opener,
            buffer,
            plain: 0,
            plain_end: 0,
            sealed: 0,
            end: received.len(),
            early,
        };
        Self { io, receive, send: Outgoing { sealer, buffer: Vec::new(), sent: 0 } }
    }
}

impl<IO> fmt::Debug for NoiseStream<IO> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NoiseStream")
            .field("opener", &self.receive.opener)
            .field("sealer", &self.send.sealer)
            .finish_non_exhaustive()
    }
}

fn invalid(error: NoiseError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Incoming {
    /// Copies opened bytes to the reader.
    fn read(&mut self, buf: &mut ReadBuf<'_>) {
        self.early.replay(buf);
        let len = buf.remaining().min(self.plain_end - self.plain);
        buf.put_slice(&self.buffer[self.plain..self.plain + len]);
        self.plain += len;
    }

    /// Opens the next record, if it is complete.
    fn open(&mut self) -> Result<bool, NoiseError> {
        let sealed = &mut self.buffer[self.sealed..self.end];
        let Some(header) = sealed.first_chunk() else {
            return Ok(false);
        };
        let len = noise::frame_len(*header)?;
        let Some(frame) = sealed.get_mut(..len) else {
            return Ok(false);
        };
        let plain = self.opener.open(frame)?;
        let skipped = self.early.skip(plain)?;
        self.plain_end = self.sealed + noise::HEADER_LEN + plain.len();
        self.plain = self.sealed + noise::HEADER_LEN + skipped;
        self.sealed += len;
        Ok(true)
    }

    /// Reads more sealed bytes; false at the end of the connection. All opened bytes must have been read.
    fn poll_fill<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        if self.sealed > 0 {
            self.buffer.copy_within(self.sealed..self.end, 0);
            self.end -= self.sealed;
            (self.plain, self.plain_end, self.sealed) = (0, 0, 0);
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; RECEIVE_LEN];
        }
        let mut buf = ReadBuf::new(&mut self.buffer[self.end..]);
        let read = Pin::new(io).poll_read(cx, &mut buf);
        let len = buf.filled().len();
        if read.is_pending() && self.end == 0 {
            self.buffer = Vec::new();
        }
        ready!(read)?;
        self.end += len;
        Poll::Ready(Ok(len > 0))
    }

    /// Whether the connection may end here.
    fn is_between_records(&self) -> bool {
        self.sealed == self.end && self.early.may_end()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for NoiseStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, receive, .. } = self.get_mut();
        let before = buf.filled().len();
        loop {
            receive.read(buf);
            if buf.filled().len() > before || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if receive.open().map_err(invalid)? {
                continue;
            }
            if !ready!(receive.poll_fill(io, cx))? {
                let whole = receive.is_between_records();
                return Poll::Ready(if whole {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                });
            }
        }
    }
}

impl Outgoing {
    /// Whether another record fits into the buffer.
    fn has_room(&self) -> bool {
        self.buffer.len() - self.sent + MAX_FRAME_LEN <= SEND_LEN
    }

    /// Seals as much as fits, and returns its length.
    fn seal(&mut self, text: &[u8]) -> Result<usize, NoiseError> {
        self.buffer.drain(..self.sent);
        self.sent = 0;
        let mut sealed = 0;
        for text in text.chunks(MAX_PLAINTEXT_LEN) {
            if !self.has_room() {
                break;
            }
            match self.sealer.seal(text, &mut self.buffer) {
                Ok(()) => sealed += text.len(),
                // The next call returns the error.
                Err(_) if sealed > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sealed)
    }

    /// Sends all buffered bytes.
    fn poll_drain<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.buffer.len() {
            let len = ready!(Pin::new(&mut *io).poll_write(cx, &self.buffer[self.sent..]))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += len;
        }
        self.buffer = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for NoiseStream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, send, .. } = self.get_mut();
        if text.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if !send.has_room() {
            let drained = send.poll_drain(io, cx)?;
            if drained.is_pending() && !send.has_room() {
                return Poll::Pending;
            }
        }
        Poll::Ready(send.seal(text).map_err(invalid))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, send, .. } = self.get_mut();
        ready!(send.poll_drain(io, cx))?;
        Pin::new(io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, send, .. } = self.get_mut();
        ready!(send.poll_drain(io, cx))?;
        Pin::new(io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
