//! One connection of a relay client.

use std::{io, time::Duration};

use control_protocol::key::NodePublic;
use derp::{
    HandshakeError, ServerInfo,
    frame::{Decoder, Frame, FrameError},
    server,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use super::{
    clients::{ClientConnection, QueuedFrame},
    shared::RelayState,
};
use crate::{clock, random};

/// Timeout for writing to a client.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Size of a read, in bytes.
pub(crate) const READ_LEN: usize = 16 * 1024;
/// Minimum delay before clients of a stopping relay reconnect.
const RECONNECT: Duration = Duration::from_millis(500);
/// Random addition to the delay, to spread reconnects.
const RECONNECT_SPREAD: Duration = Duration::from_millis(1500);
/// How long clients should retry before they choose another relay.
const TRY_FOR: Duration = Duration::from_secs(5);

/// Why a connection ended before the client left.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// It broke, or took too long.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The client sent an invalid frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client did not prove its key.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Its key is not a node's.
    #[error("{0} is not a node of this network")]
    NotAdmitted(NodePublic),
    /// It was admitted, and is no longer a node or has newer connections.
    #[error("{0} is no longer a node, or newer connections have replaced this one")]
    Ended(NodePublic),
}

/// A client that proved a node's key.
#[derive(Debug)]
pub(super) struct AdmittedClient<IO> {
    io: IO,
    decoder: Decoder,
    key: NodePublic,
}

/// Runs the handshake until `until`; `received` is what followed the client's request. As stock relays do (`verifyClient` in
/// derpserver.go), it closes the connection instead of proving its own key if the client is not a node.
pub(super) async fn enter<IO>(
    mut io: IO,
    received: &[u8],
    until: Instant,
    shared: &RelayState,
) -> Result<AdmittedClient<IO>, ConnectionError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut decoder = Decoder::new();
    decoder.handle_bytes(received);
    let key = timeout_at(until, handshake(&mut io, &mut decoder, shared)).await;
    let key = key.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(AdmittedClient { io, decoder, key })
}

/// Sends the relay's key, and verifies the client's.
async fn handshake<IO>(
    io: &mut IO,
    decoder: &mut Decoder,
    shared: &RelayState,
) -> Result<NodePublic, ConnectionError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let key = &shared.key;
    io.write_all(&server::greeting(&key.public())?).await?;
    io.flush().await?;
    let mut buffer = vec![0; READ_LEN];
    loop {
        server::check_first(decoder)?;
        if let Some(frame) = decoder.poll_frame()? {
            let client =
                server::handle_client_info(key, &frame, &ServerInfo::default(), random::bytes())?;
            if !shared.admission.keys().admit(&client.key, clock::now()) {
                return Err(ConnectionError::NotAdmitted(client.key));
            }
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

impl<IO: AsyncRead + AsyncWrite + Unpin> AdmittedClient<IO> {
    /// Serves the client until it leaves, is no longer a node, or `stopping` completes, of which it is notified.
    pub(super) async fn run(
        self,
        shared: &RelayState,
        stopping: impl Future<Output = ()>,
    ) -> Result<(), ConnectionError> {
        let Self { io, decoder, key } = self;
        let registration = shared.clients.join(key);
        let end = registration.end.clone();
        tokio::select! {
            // Also interrupts a blocked write.
            () = end.cancelled() => Err(ConnectionError::Ended(key)),
            result = pass(io, decoder, key, registration, shared, stopping) => result,
        }
    }
}

/// Forwards packets in both directions.
async fn pass<IO>(
    io: IO,
    mut decoder: Decoder,
    key: NodePublic,
    mut registration: ClientConnection<'_>,
    shared: &RelayState,
    stopping: impl Future<Output = ()>,
) -> Result<(), ConnectionError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(io);
    let mut stopping = std::pin::pin!(stopping);
    let mut buffer = vec![0; READ_LEN];
    let mut keep_alive = Instant::now() + before(shared.keep_alive);
    // Bytes that exceed the rate limit: no more is read until the bucket has refilled.
    let mut owed: Option<(usize, Instant)> = None;
    loop {
        handle_frames(&mut decoder, &registration)?;
        tokio::select! {
            () = &mut stopping => return Ok(say_goodbye(&mut writer).await?),
            read = reader.read(&mut buffer), if owed.is_none() => match read? {
                0 => return Ok(()),
                len => {
                    decoder.handle_bytes(&buffer[..len]);
                    owed = take(shared, &key, len);
                }
            },
            len = due(owed), if owed.is_some() => owed = take(shared, &key, len),
            Some(frame) = registration.queue.recv() => {
                write_all(&mut writer, frame, &mut registration).await?;
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

/// Takes bytes from the client's bucket; if it is empty, returns them with the time to retry.
fn take(shared: &RelayState, key: &NodePublic, len: usize) -> Option<(usize, Instant)> {
    shared.rates.take(key, len).err().map(|wait| (len, Instant::now() + wait))
}

/// Waits for the time to retry; forever if there is none.
async fn due(owed: Option<(usize, Instant)>) -> usize {
    match owed {
        Some((len, at)) => {
            tokio::time::sleep_until(at).await;
            len
        }
        None => std::future::pending().await,
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "unexpected and unknown frames are ignored")]
fn handle_frames(
    decoder: &mut Decoder,
    registration: &ClientConnection<'_>,
) -> Result<(), ConnectionError> {
    while let Some(frame) = decoder.poll_frame()? {
        match frame {
            Frame::SendPacket { to, packet } => registration.send(to, packet),
            Frame::Ping { data } => registration.pong(data),
            _ => {}
        }
    }
    Ok(())
}

/// Writes a frame and all that are queued.
async fn write_all<W: AsyncWrite + Unpin>(
    writer: &mut W,
    first: QueuedFrame,
    registration: &mut ClientConnection<'_>,
) -> io::Result<()> {
    let mut frames = vec![first];
    while let Ok(next) = registration.queue.try_recv() {
        frames.push(next);
    }
    let bytes: Vec<&[u8]> = frames.iter().map(|frame| &*frame.bytes).collect();
    write(writer, &bytes).await
}

/// Notifies the client that the relay stops, and when to reconnect.
async fn say_goodbye<W: AsyncWrite + Unpin>(writer: &mut W) -> io::Result<()> {
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let frame = Frame::Restarting {
        reconnect_in_ms: ms(RECONNECT + random::up_to(RECONNECT_SPREAD)),
        try_for_ms: ms(TRY_FOR),
    };
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).map_err(io::Error::other)?;
    write(writer, &[&bytes]).await?;
    writer.shutdown().await
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

/// `time` minus a random tenth at most, to spread timers.
fn before(time: Duration) -> Duration {
    time - random::up_to(time / 10)
}

#[cfg(test)]
mod tests {
    use control_protocol::key::NodePrivate;

    use super::*;
    use crate::{config::Config, files::Paths};

    /// What comes of a client that sends this and then neither leaves nor says more.
    async fn refused(sent: &[u8], time: Duration) -> ConnectionError {
        let dir = tempfile::tempdir().unwrap();
        let key = NodePrivate::generate().unwrap();
        let shared = RelayState::new(key, &Config::default(), &Paths::new(dir.path())).unwrap();
        let (mut client, server) = tokio::io::duplex(256 * 1024);
        client.write_all(sent).await.unwrap();
        let entering = enter(server, &[], Instant::now() + time, &shared);
        let entered = timeout(Duration::from_secs(20), entering).await;
        let refused = entered.expect("it is decided").unwrap_err();
        drop(client);
        refused
    }

    #[tokio::test]
    async fn a_client_proves_its_key_in_time() {
        let refused = refused(&[], Duration::from_millis(10)).await;
        let ConnectionError::Io(error) = refused else { panic!("{refused}") };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn before_a_client_has_proved_its_key_nothing_else_of_it_is_kept() {
        let long = Duration::from_secs(60);
        // The beginnings alone of a packet, and of a proof that is longer than any.
        let refused_packet = refused(&[0x04, 0, 1, 0, 0], long).await;
        let unexpected = HandshakeError::Unexpected { kind: 0x04 };
        assert!(matches!(refused_packet, ConnectionError::Handshake(error) if error == unexpected));
        let refused_proof = refused(&[0x02, 0, 0, 0x20, 0], long).await;
        assert!(matches!(
            refused_proof,
            ConnectionError::Frame(FrameError::TooLong { kind: 0x02, len: 0x2000 })
        ));
    }
}
