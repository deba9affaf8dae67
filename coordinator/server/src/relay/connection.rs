//! One client of the relay, from its handshake to its end.

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

/// How long a client may take to read.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Bytes read at once.
pub(crate) const READ_LEN: usize = 16 * 1024;
/// When a client of a relay that stops should connect again, at the earliest.
const RECONNECT: Duration = Duration::from_millis(500);
/// At random up to so much later, so that not all come at once.
const RECONNECT_SPREAD: Duration = Duration::from_millis(1500);
/// For how long it should then try before it looks for another relay.
const TRY_FOR: Duration = Duration::from_secs(5);

/// Why a connection ended before the client left.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// It broke, or took too long.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The client sent what is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client did not prove its key.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It proved a key that is no node's of the network.
    #[error("{0} is no node of this network, or is one no more")]
    NotAdmitted(NodePublic),
    /// It was let in, and has to leave.
    #[error("{0} is a node no more, or has newer connections in the place of this one")]
    Ended(NodePublic),
}

/// A client that proved its key, which is a node's.
#[derive(Debug)]
pub(super) struct AdmittedClient<IO> {
    io: IO,
    decoder: Decoder,
    key: NodePublic,
}

/// Lets a client prove its key, at the latest at `until`. `received` is what came after its request. A key that is no node's is refused as stock
/// relays do it: the connection ends where the relay would prove its own (`verifyClient` in derpserver.go).
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

/// Shows the relay's key, and lets the client prove its own.
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
    /// Serves the client until it leaves, is a node no more, or `stopping` completes, of which it is told.
    pub(super) async fn run(
        self,
        shared: &RelayState,
        stopping: impl Future<Output = ()>,
    ) -> Result<(), ConnectionError> {
        let Self { io, decoder, key } = self;
        let registration = shared.clients.join(key);
        let end = registration.end.clone();
        tokio::select! {
            // Also amid a write that the client does not take.
            () = end.cancelled() => Err(ConnectionError::Ended(key)),
            result = pass(io, decoder, key, registration, shared, stopping) => result,
        }
    }
}

/// Passes packets on, both ways.
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
    // What was read and not paid for yet: until then no more is read, and the client's own queue fills.
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

/// Takes bytes from the client's bucket; if it lacks them, how many and when to try again.
fn take(shared: &RelayState, key: &NodePublic, len: usize) -> Option<(usize, Instant)> {
    shared.rates.take(key, len).err().map(|wait| (len, Instant::now() + wait))
}

/// Waits until what is owed can be paid; never returns if nothing is.
async fn due(owed: Option<(usize, Instant)>) -> usize {
    match owed {
        Some((len, at)) => {
            tokio::time::sleep_until(at).await;
            len
        }
        None => std::future::pending().await,
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a client may not send, and what is unknown, is ignored alike"
)]
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

/// Writes a frame and whatever else waits by now.
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

/// Tells the client that the relay stops, and when to come back.
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

/// That time or up to a tenth less, so that not all clients wake at once.
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
