//! The client's side: from a connection to a channel.

use std::{io, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use control_protocol::{
    UPGRADE_PATH,
    key::{MachinePrivate, MachinePublic},
    noise::{self, Initiator, NoiseError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{HANDSHAKE_HEADER, NoiseStream, UPGRADE, stream::RECEIVE_LEN};

/// Longest head of the coordinator's HTTP response, in bytes.
const MAX_HEAD_LEN: usize = 8 * 1024;
/// Most headers of it.
const MAX_HEADERS: usize = 64;

/// The channel could not be opened. Close the connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name for the Host header is invalid.
    #[error("`{0}` cannot be the name of a coordinator")]
    Host(String),
    /// It timed out.
    #[error("the coordinator did not answer in time")]
    Timeout,
    /// The connection failed.
    #[error("the connection to the coordinator failed")]
    Io(#[from] io::Error),
    /// The response is not HTTP, or not an upgrade.
    #[error("the response is not that of a coordinator")]
    Answer,
    /// The coordinator, or a proxy before it, refused the upgrade.
    #[error("the coordinator refused the upgrade with HTTP status {0}")]
    Status(u16),
    /// The handshake failed.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// The parameters of a connection.
#[derive(Clone, Debug)]
pub struct Connect<'a> {
    /// The coordinator's name and port for the Host header, as in its URL.
    pub host: &'a str,
    /// The client's own key.
    pub machine: &'a MachinePrivate,
    /// The coordinator's key.
    pub server: MachinePublic,
    /// The client's capability version.
    pub version: u16,
    /// Timeout for the whole handshake.
    pub timeout: Duration,
}

/// Upgrades a connection to a coordinator, and runs the handshake.
///
/// # Errors
///
/// Fails if the coordinator does not answer in time, does not upgrade, or does not have the key `options.server`.
pub async fn connect<IO>(mut io: IO, options: &Connect<'_>) -> Result<NoiseStream<IO>, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (initiator, init) = Initiator::new(options.machine, &options.server, options.version)?;
    let request = request(options.host, &init)?;
    let handshake = async {
        io.write_all(request.as_bytes()).await?;
        io.flush().await?;
        let mut received = Vec::new();
        read_head(&mut io, &mut received).await?;
        read_response(&mut io, &mut received, initiator)
            .await
            .map(|transport| (transport, received))
    };
    let (transport, received) =
        timeout(options.timeout, handshake).await.map_err(|_| ConnectError::Timeout)??;
    Ok(NoiseStream::new(io, transport, &received, true))
}

fn request(host: &str, init: &[u8]) -> Result<String, ConnectError> {
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConnectError::Host(common::foreign::short(host, 64)));
    }
    let init = STANDARD.encode(init);
    Ok(format!(
        "POST {UPGRADE_PATH} HTTP/1.1\r\nhost: {host}\r\nupgrade: {UPGRADE}\r\nconnection: upgrade\r\n\
         {HANDSHAKE_HEADER}: {init}\r\ncontent-length: 0\r\n\r\n"
    ))
}

/// Reads the head of the HTTP response; leaves the bytes after it in `received`.
async fn read_head<IO: AsyncRead + Unpin>(
    io: &mut IO,
    received: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    loop {
        if let Some(len) = parse_head(received)? {
            received.drain(..len);
            return Ok(());
        }
        if received.len() >= MAX_HEAD_LEN {
            return Err(ConnectError::Answer);
        }
        read_more(io, received).await?;
    }
}

/// Parses the head of the response to an upgrade; returns its length if it is complete.
///
/// # Errors
///
/// [`ConnectError::Status`] if the upgrade was refused; [`ConnectError::Answer`] if it is not such a response.
pub fn parse_head(bytes: &[u8]) -> Result<Option<usize>, ConnectError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) =
        response.parse(bytes).map_err(|_| ConnectError::Answer)?
    else {
        return Ok(None);
    };
    match response.code {
        Some(101) => {}
        Some(status) => return Err(ConnectError::Status(status)),
        None => return Err(ConnectError::Answer),
    }
    let upgraded = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("upgrade")
            && header.value.eq_ignore_ascii_case(UPGRADE.as_bytes())
    });
    if upgraded { Ok(Some(len)) } else { Err(ConnectError::Answer) }
}

/// Reads the coordinator's handshake message; leaves the bytes after it in `received`.
async fn read_response<IO: AsyncRead + Unpin>(
    io: &mut IO,
    received: &mut Vec<u8>,
    initiator: Initiator,
) -> Result<noise::Transport, ConnectError> {
    let len = loop {
        if let Some(header) = received.first_chunk() {
            let len = Initiator::response_len(*header)?;
            if received.len() >= len {
                break len;
            }
        }
        read_more(io, received).await?;
    };
    let transport = initiator.finish(&received[..len])?;
    received.drain(..len);
    Ok(transport)
}

/// Reads a piece at a time, so that at most [`RECEIVE_LEN`] bytes are buffered.
async fn read_more<IO: AsyncRead + Unpin>(
    io: &mut IO,
    received: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    const { assert!(MAX_HEAD_LEN + 2 * PIECE_LEN <= RECEIVE_LEN) };
    let mut piece = [0; PIECE_LEN];
    let len = io.read(&mut piece).await?;
    if len == 0 {
        return Err(ConnectError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    received.extend_from_slice(&piece[..len]);
    Ok(())
}

const PIECE_LEN: usize = 1024;

#[cfg(test)]
mod tests;
