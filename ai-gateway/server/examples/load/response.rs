//! Reads one HTTP/1.1 response at a time.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::Failure;

/// How a body ends.
#[derive(Debug)]
enum Framing {
    Length(usize),
    Chunked,
}

/// Bytes that came and belong to nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    buffer: Vec<u8>,
}

impl Incoming {
    /// Reads a response; hands each piece of its body to `take`. Returns the status.
    pub(crate) async fn response(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        mut take: impl FnMut(&[u8]),
    ) -> Result<u16, Failure> {
        let (status, framing) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.more(io).await?;
        };
        match framing {
            Framing::Length(length) => {
                while self.buffer.len() < length {
                    self.more(io).await?;
                }
                take(&self.buffer[..length]);
                self.buffer.drain(..length);
            }
            Framing::Chunked => loop {
                let Some((start, length)) = self.chunk()? else {
                    self.more(io).await?;
                    continue;
                };
                let end = start + length + 2;
                while self.buffer.len() < end {
                    self.more(io).await?;
                }
                take(&self.buffer[start..start + length]);
                self.buffer.drain(..end);
                if length == 0 {
                    break;
                }
            },
        }
        Ok(status)
    }

    async fn more(&mut self, io: &mut (impl AsyncRead + Unpin)) -> Result<(), Failure> {
        self.buffer.reserve(8 << 10);
        if io.read_buf(&mut self.buffer).await? == 0 {
            return Err("the connection ended early".into());
        }
        Ok(())
    }

    /// Takes the head, if it is all there.
    fn head(&mut self) -> Result<Option<(u16, Framing)>, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = response.parse(&self.buffer)? else {
            return Ok(None);
        };
        let length =
            response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
        let framing = match length {
            Some(length) => Framing::Length(std::str::from_utf8(length.value)?.parse()?),
            None => Framing::Chunked,
        };
        let status = response.code.unwrap_or(0);
        self.buffer.drain(..end);
        Ok(Some((status, framing)))
    }

    /// Where the next chunk's data begins, and how long it is.
    fn chunk(&self) -> Result<Option<(usize, usize)>, Failure> {
        let parsed =
            httparse::parse_chunk_size(&self.buffer).map_err(|_| "no chunk where one is due")?;
        let httparse::Status::Complete((start, length)) = parsed else { return Ok(None) };
        Ok(Some((start, usize::try_from(length)?)))
    }
}
