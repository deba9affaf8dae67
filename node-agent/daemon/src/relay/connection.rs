//! One connection to one relay.

use std::{io, net::IpAddr, time::Duration};

use common::mesh;
use control_protocol::{
    key::{NodePrivate, NodePublic},
    map::{DerpNode, DerpRegion},
};
use derp::{
    ClientInfo, NONCE_LEN,
    client::{Handshake, Step},
    frame::{Decoder, Frame, GoneReason, KEEP_ALIVE_S},
    http::parse_answer,
};
use node_agent_core::drops::{Cause, Drops};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    queue::{Outgoing, Queue},
    restart::Restart,
    tls::{self, ExpectedIdentity},
};
use crate::{connect, dns::forward::Forwarder};

/// How long connecting and the handshake may take together.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a relay may be silent, which sends keep-alives.
const SILENCE: Duration = Duration::from_secs(2 * KEEP_ALIVE_S + 10);
/// Packets that go out in one write.
const BATCH: usize = 64;

/// What a relay says of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromRelay<'a> {
    /// The peer sent a packet.
    Packet(&'a [u8]),
    /// A packet for the peer was dropped: it is not connected to that relay.
    Undelivered,
}

/// How a connection ended without an error.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    /// It was idle.
    Idle,
    /// The relay said that it restarts.
    Restarts(Restart),
}

/// An open connection.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    decoder: Decoder,
}

impl Connection {
    /// Connects to the first node of the region that answers. `ca` is the authorities, in PEM, for relays without a pin.
    pub(super) async fn open(
        region: &DerpRegion,
        private: &NodePrivate,
        forwarder: &Forwarder,
        ca: Option<&str>,
    ) -> io::Result<Self> {
        let mut last = io::Error::other("the region has no relay that can be authenticated");
        for node in region.nodes.iter().filter(|node| !node.stun_only) {
            let Some(identity) = tls::expected_identity(node) else {
                continue;
            };
            match timeout(CONNECT, Self::open_node(node, (identity, ca), private, forwarder)).await
            {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    async fn open_node(
        node: &DerpNode,
        (identity, ca): (ExpectedIdentity<'_>, Option<&str>),
        private: &NodePrivate,
        forwarder: &Forwarder,
    ) -> io::Result<Self> {
        let tcp = dial(node, forwarder).await?;
        tcp.set_nodelay(true)?;
        let host = if node.host_name.is_empty() { &node.ipv4 } else { &node.host_name };
        let mut stream = tls::connect(tcp, host, identity, ca).await?;
        let request = format!(
            "GET /derp HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut decoder = Decoder::new();
        decoder.handle_bytes(&read_upgrade(&mut stream).await?);
        let mut this = Self { stream, decoder };
        this.shake_hands(private).await?;
        Ok(this)
    }

    async fn shake_hands(&mut self, private: &NodePrivate) -> io::Result<()> {
        let mut handshake = Handshake::new(private.clone(), ClientInfo::default());
        loop {
            while let Some(frame) = self.decoder.poll_frame().map_err(io::Error::other)? {
                let mut nonce = [0; NONCE_LEN];
                getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
                match handshake.handle_frame(&frame, nonce).map_err(io::Error::other)? {
                    Step::Send(bytes) => {
                        self.stream.write_all(&bytes).await?;
                        self.stream.flush().await?;
                    }
                    Step::Wait => {}
                    Step::Done { .. } => return Ok(()),
                }
            }
            let mut buffer = [0; 4096];
            let len = self.stream.read(&mut buffer).await?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.decoder.handle_bytes(&buffer[..len]);
        }
    }

    /// Forwards packets both ways until the connection ends, the relay restarts, or nothing was sent for `idle`.
    pub(super) async fn run(
        self,
        outgoing: &mut Queue,
        home: bool,
        idle: Option<Duration>,
        received: impl Fn(&NodePublic, FromRelay<'_>),
    ) -> io::Result<ConnectionEnd> {
        let (reader, writer) = tokio::io::split(self.stream);
        let (pongs, mut pings) = mpsc::channel(8);
        tokio::select! {
            ended = read(reader, self.decoder, pongs, received, SILENCE) => ended.map(ConnectionEnd::Restarts),
            ended = write(writer, outgoing, &mut pings, home, idle) => ended.map(|()| ConnectionEnd::Idle),
        }
    }
}

async fn dial(node: &DerpNode, forwarder: &Forwarder) -> io::Result<TcpStream> {
    let mut addresses: Vec<IpAddr> =
        [&node.ipv4, &node.ipv6].iter().filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        addresses = forwarder.lookup(&node.host_name).await?;
    }
    // A relay inside the mesh would be reached through itself, in a loop.
    addresses.retain(|address| mesh::is_outside(*address));
    if addresses.is_empty() {
        let what = "the relay has no address outside the mesh";
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    connect::tcp(&addresses, node.port()).await
}

/// Reads the response to the upgrade; returns the bytes after it.
async fn read_upgrade(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        if let Some(len) = parse_answer(&head).map_err(io::Error::other)? {
            return Ok(head.split_off(len));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Handles the relay's frames until it announces a restart.
async fn read(
    mut reader: impl AsyncRead + Unpin,
    mut decoder: Decoder,
    pongs: mpsc::Sender<[u8; 8]>,
    received: impl Fn(&NodePublic, FromRelay<'_>),
    silence: Duration,
) -> io::Result<Restart> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        while let Some(frame) = decoder.poll_frame().map_err(io::Error::other)? {
            match frame {
                Frame::RecvPacket { from, packet } => received(&from, FromRelay::Packet(packet)),
                Frame::Ping { data } => {
                    let _ = pongs.try_send(data);
                }
                Frame::Health { problem } if !problem.is_empty() => {
                    tracing::warn!("the relay reports a problem with this connection");
                }
                Frame::Restarting { reconnect_in_ms, try_for_ms } => {
                    return Ok(Restart::new(reconnect_in_ms, try_for_ms));
                }
                Frame::PeerGone { peer, reason } => {
                    tracing::debug!(%peer, "not at this relay");
                    if reason == GoneReason::NotHere {
                        received(&peer, FromRelay::Undelivered);
                    }
                }
                Frame::ServerKey { .. }
                | Frame::ClientInfo { .. }
                | Frame::ServerInfo { .. }
                | Frame::SendPacket { .. }
                | Frame::KeepAlive
                | Frame::NotePreferred { .. }
                | Frame::Pong { .. }
                | Frame::Health { .. }
                | Frame::Unknown { .. } => {}
            }
        }
        let len = timeout(silence, reader.read(&mut buffer)).await??;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        decoder.handle_bytes(&buffer[..len]);
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    outgoing: &mut Queue,
    pings: &mut mpsc::Receiver<[u8; 8]>,
    home: bool,
    idle: Option<Duration>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    if home {
        push(&mut bytes, &Frame::NotePreferred { preferred: true });
    }
    loop {
        if !bytes.is_empty() {
            timeout(SILENCE, async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            })
            .await??;
            bytes.clear();
        }
        let rest = async {
            match idle {
                Some(idle) => tokio::time::sleep(idle).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            packet = outgoing.recv() => {
                let Some(packet) = packet else { return Ok(()) };
                push_packet(&mut bytes, &packet, &outgoing.drops);
            }
            Some(data) = pings.recv() => push(&mut bytes, &Frame::Pong { data }),
            () = rest => return Ok(()),
        }
        for _ in 1..BATCH {
            let Some(packet) = outgoing.try_recv() else { break };
            push_packet(&mut bytes, &packet, &outgoing.drops);
        }
    }
}

/// Appends a packet; one that is too long for a relay is dropped.
fn push_packet(bytes: &mut Vec<u8>, outgoing: &Outgoing, drops: &Drops) {
    let frame = Frame::SendPacket { to: outgoing.to, packet: &outgoing.packet };
    if frame.encode(bytes).is_err() {
        drops.count(Cause::Relay);
    }
}

fn push(bytes: &mut Vec<u8>, frame: &Frame<'_>) {
    let _ = frame.encode(bytes);
}

#[cfg(test)]
mod tests;
