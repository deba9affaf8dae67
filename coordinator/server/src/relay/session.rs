//! One client of the relay, from its handshake to its end.

use std::{io, time::Duration};

use control_protocol::key::NodePrivate;
use derp::{
    HandshakeError, ServerInfo,
    frame::{Decoder, Frame, FrameError},
    server,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use super::{Shared, clients::Registration};
use crate::random;

/// How long the handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a client may take to read.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Bytes read at once.
const READ_LEN: usize = 16 * 1024;

/// Why a connection ended before the client left.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// It broke, or took too long.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The client sent what is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client did not prove its key.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Serves a client until it leaves. `received` is what came after its request.
pub(super) async fn run<IO>(
    mut io: IO,
    received: &[u8],
    shared: &Shared,
) -> Result<(), SessionError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut decoder = Decoder::new();
    decoder.handle_bytes(received);
    let client = timeout(HANDSHAKE_TIME, handshake(&mut io, &mut decoder, &shared.key)).await;
    let client = client.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let mut registration = shared.clients.join(client);
    let (mut reader, mut writer) = tokio::io::split(io);
    let mut buffer = vec![0; READ_LEN];
    let mut keep_alive = Instant::now() + before(shared.keep_alive);
    loop {
        handle_frames(&mut decoder, &registration)?;
        tokio::select! {
            read = reader.read(&mut buffer) => match read? {
                0 => return Ok(()),
                len => decoder.handle_bytes(&buffer[..len]),
            },
            Some(frame) = registration.queue.recv() => {
                let mut frames = vec![frame];
                while let Ok(next) = registration.queue.try_recv() {
                    frames.push(next);
                }
                let bytes: Vec<&[u8]> = frames.iter().map(|frame| &*frame.bytes).collect();
                write(&mut writer, &bytes).await?;
            }
            () = tokio::time::sleep_until(keep_alive) => {
                let mut frame = Vec::new();
                Frame::KeepAlive.encode(&mut frame)?;
                write(&mut writer, &[&frame]).await?;
                keep_alive = Instant::now() + before(shared.keep_alive);
            }
        }
    }
}

/// Shows the relay's key, and lets the client prove its own.
async fn handshake<IO>(
    io: &mut IO,
    decoder: &mut Decoder,
    key: &NodePrivate,
) -> Result<control_protocol::key::NodePublic, SessionError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(&server::greeting(&key.public())?).await?;
    io.flush().await?;
    let mut buffer = vec![0; READ_LEN];
    loop {
        if let Some(frame) = decoder.poll_frame()? {
            let client =
                server::handle_client_info(key, &frame, &ServerInfo::default(), random::bytes())?;
            io.write_all(&client.answer).await?;
            io.flush().await?;
            return Ok(client.key);
        }
        match io.read(&mut buffer).await? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            len => decoder.handle_bytes(&buffer[..len]),
        }
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a client may not send, and what is unknown, is ignored alike"
)]
fn handle_frames(
    decoder: &mut Decoder,
    registration: &Registration<'_>,
) -> Result<(), SessionError> {
    while let Some(frame) = decoder.poll_frame()? {
        match frame {
            Frame::SendPacket { to, packet } => registration.send(to, packet),
            Frame::Ping { data } => registration.pong(data),
            _ => {}
        }
    }
    Ok(())
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, frames: &[&[u8]]) -> io::Result<()> {
    let write = async {
        for frame in frames {
            writer.write_all(frame).await?;
        }
        writer.flush().await
    };
    timeout(WRITE_TIME, write).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// That time or up to a tenth less, so that not all clients wake at once.
fn before(time: Duration) -> Duration {
    time - random::up_to(time / 10)
}
