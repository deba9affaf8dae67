//! One agent.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::body::{frame, whole};
use control_protocol::{
    CAPABILITY_VERSION,
    frame::{Decoder, MAX_BODY_LEN},
    key::{DiscoPublic, MachinePrivate, MachinePublic, NodePrivate, NodePublic},
    map::{self, Hostinfo, MapRequest, MapResponse, ZSTD},
    register::{self, Auth, RegisterRequest, RegisterResponse},
};
use control_stream::{
    NoiseStream,
    client::{Connect, connect},
};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Serialize;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};

use crate::{Failure, network_map::NetworkMap};

/// Longest time for a handshake or an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Longest answer that is not a map, in bytes.
const ANSWER_MAX: usize = 1 << 20;
/// Port of an agent's first endpoint.
const PORT: u16 = 41_641;
/// The expiry of a request that logs out: a time in the past.
const LOGOUT: &str = "1970-01-01T00:02:03Z";
/// Longest wait of a stock client between two attempts (tailscale 1.100, `backoff.NewBackoff`).
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Where the coordinator is, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) server: MachinePublic,
}

/// What the measurement reads of an agent that watches.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    channel: Mutex<Option<Channel>>,
    /// Port of its endpoint.
    port: AtomicU16,
    map: Mutex<NetworkMap>,
    /// First maps that it has received.
    pub(crate) maps: AtomicUsize,
}

impl Progress {
    /// Its map.
    pub(crate) fn map(&self) -> MutexGuard<'_, NetworkMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel of its map stream.
    fn channel(&self) -> MutexGuard<'_, Option<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port, which stands in a new endpoint or a new filter, has reached an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    pub(crate) port: u16,
    pub(crate) at: Instant,
}

/// An agent with keys of its own.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) index: usize,
    machine: MachinePrivate,
    node: NodePrivate,
    key: String,
    pub(crate) progress: Arc<Progress>,
}

/// Its channel to the coordinator.
#[derive(Clone, Debug)]
struct Channel {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl Agent {
    pub(crate) fn new(index: usize, key: String) -> Result<Self, Failure> {
        let progress = Progress { port: AtomicU16::new(PORT), ..Progress::default() };
        Ok(Self {
            index,
            machine: MachinePrivate::generate()?,
            node: NodePrivate::generate()?,
            key,
            progress: Arc::new(progress),
        })
    }

    /// Another machine that joins with the same key.
    pub(crate) fn successor(&self) -> Result<Self, Failure> {
        Self::new(self.index, self.key.clone())
    }

    /// The same machine and endpoint with another node key.
    pub(crate) fn renewed(&self) -> Result<Self, Failure> {
        let port = self.progress.port.load(Ordering::Relaxed).into();
        let progress = Arc::new(Progress { port, ..Progress::default() });
        Ok(Self { node: NodePrivate::generate()?, progress, ..self.clone() })
    }

    pub(crate) fn node_key(&self) -> NodePublic {
        self.node.public()
    }

    /// The endpoint that it tells.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        ([192, 0, 2, 1], self.progress.port.load(Ordering::Relaxed)).into()
    }

    /// Sets the port of the endpoint that it tells next.
    pub(crate) fn set_port(&self, port: u16) {
        self.progress.port.store(port, Ordering::Relaxed);
    }

    /// Drops its channel, which closes when its map stream has ended.
    pub(crate) fn hang_up(&self) {
        *self.progress.channel() = None;
    }

    /// An address of `127.0.0.0/8` that no other agent has.
    fn own_address(&self) -> Ipv4Addr {
        let number = u32::try_from(self.index).unwrap_or(u32::MAX >> 8) + (1 << 16);
        Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number)
    }

    async fn connect(&self, place: &Location) -> Result<Channel, Failure> {
        let tcp = if place.address.ip().is_loopback() && place.address.is_ipv4() {
            let socket = TcpSocket::new_v4()?;
            socket.bind((self.own_address(), 0).into())?;
            socket.connect(place.address).await?
        } else {
            TcpStream::connect(place.address).await?
        };
        tcp.set_nodelay(true)?;
        let options = Connect {
            host: &place.host,
            machine: &self.machine,
            server: place.server,
            version: u16::try_from(CAPABILITY_VERSION)?,
            timeout: PATIENCE,
        };
        let stream: NoiseStream<TcpStream> = connect(tcp, &options).await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Channel { sender })
    }

    fn hostinfo(&self) -> Hostinfo {
        Hostinfo {
            hostname: format!("agent{}", self.index),
            os: "linux".to_owned(),
            ..Hostinfo::default()
        }
    }

    pub(crate) async fn register(&self, place: &Location) -> Result<(), Failure> {
        let response = self.ask(place, None).await?;
        if !response.machine_authorized {
            return Err(format!("an agent may not join: {}", response.error).into());
        }
        Ok(())
    }

    /// Logs out, which expires its node key.
    pub(crate) async fn log_out(&self, place: &Location) -> Result<(), Failure> {
        let response = self.ask(place, Some(LOGOUT.to_owned())).await?;
        if !response.error.is_empty() {
            return Err(format!("an agent may not log out: {}", response.error).into());
        }
        Ok(())
    }

    /// Sends a request to register, with an expiry if it logs out.
    async fn ask(
        &self,
        place: &Location,
        expiry: Option<String>,
    ) -> Result<RegisterResponse, Failure> {
        let request = RegisterRequest {
            version: CAPABILITY_VERSION,
            node_key: self.node.public(),
            hostinfo: Some(self.hostinfo()),
            auth: Some(Auth { auth_key: self.key.clone() }),
            expiry,
            ..RegisterRequest::default()
        };
        let response = self.connect(place).await?.post(register::PATH, &request).await?;
        let body = whole(response.into_body(), ANSWER_MAX, PATIENCE).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Moves to an endpoint with this port, and tells it over the channel of its map stream.
    pub(crate) async fn moves(&self, port: u16) -> Result<(), Failure> {
        self.set_port(port);
        let channel = self.progress.channel().clone();
        self.tell(&mut channel.ok_or("an agent has no channel")?).await
    }

    /// Tells its endpoint.
    async fn tell(&self, channel: &mut Channel) -> Result<(), Failure> {
        let request = MapRequest {
            hostinfo: Some(self.hostinfo()),
            endpoints: vec![self.endpoint()],
            endpoint_types: vec![1],
            omit_peers: true,
            ..self.map_request()
        };
        let response = channel.post(map::PATH, &request).await?;
        whole(response.into_body(), ANSWER_MAX, PATIENCE).await?;
        Ok(())
    }

    fn map_request(&self) -> MapRequest {
        MapRequest {
            version: CAPABILITY_VERSION,
            node_key: self.node.public(),
            disco_key: DiscoPublic::from_bytes([9; 32]),
            compress: ZSTD.to_owned(),
            keep_alive: true,
            ..MapRequest::default()
        }
    }

    /// Watches its map for ever, and connects again whenever the stream ends, after a stock client's waiting times.
    pub(crate) async fn watch(self, place: Location, marks: Marks) {
        let mut failures: u32 = 0;
        loop {
            let before = self.progress.maps.load(Ordering::Relaxed);
            // Why it ended does not matter: it is tried again, and what is missing at the end is told.
            let _ = self.stream(&place, &marks).await;
            let has_worked = self.progress.maps.load(Ordering::Relaxed) > before;
            failures = if has_worked { 1 } else { failures + 1 };
            let mut random = [0; 2];
            let _ = getrandom::fill(&mut random);
            let spread = 0.5 + f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
            let wait = Duration::from_millis(10) * failures.saturating_pow(2).min(3000);
            tokio::time::sleep(wait.min(WAIT_MAX).mul_f64(spread)).await;
        }
    }

    async fn stream(&self, place: &Location, marks: &Marks) -> Result<(), Failure> {
        let mut channel = self.connect(place).await?;
        self.tell(&mut channel).await?;
        *self.progress.channel() = Some(channel.clone());
        let request = MapRequest { stream: true, ..self.map_request() };
        let mut body = channel.post(map::PATH, &request).await?.into_body();
        let mut decoder = Decoder::new(MAX_BODY_LEN);
        while let Some(frame) = frame(&mut body).await {
            decoder.handle_bytes(frame?.data_ref().ok_or("trailers")?);
            while let Some(body) = decoder.poll_body()? {
                let json = zstd::stream::decode_all(&*body)?;
                self.receive(serde_json::from_slice(&json)?, marks);
            }
        }
        Ok(())
    }

    fn receive(&self, response: MapResponse, marks: &Marks) {
        let port = marks.awaited.load(Ordering::Relaxed);
        let (is_first, is_told) = (response.peers.is_some(), shows(&response, port));
        self.progress.map().update(response);
        if is_first {
            self.progress.maps.fetch_add(1, Ordering::Relaxed);
        }
        if is_told {
            let _ = marks.told.send(Notification { port, at: Instant::now() });
        }
    }
}

/// Whether a port stands in a changed endpoint or at the end of what a filter opens.
fn shows(response: &MapResponse, port: u16) -> bool {
    let whole = response.peers_changed.iter().flat_map(|peer| &peer.endpoints);
    let patches = response.peers_changed_patch.iter();
    let patched = patches.flat_map(|patch| patch.endpoints.iter().flatten());
    let filters = response.packet_filters.iter().flat_map(|filters| filters.values().flatten());
    let rules = filters.chain(&response.packet_filter).flatten();
    let opened = rules.flat_map(|rule| &rule.dst_ports).map(|opened| opened.ports.last);
    let mut told = whole.chain(patched).map(SocketAddr::port).chain(opened);
    told.any(|told| told == port)
}

/// What agents look for in their maps.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// The port.
    pub(crate) awaited: Arc<AtomicU16>,
    /// Receives that an agent has seen it.
    pub(crate) told: mpsc::UnboundedSender<Notification>,
}

impl Marks {
    /// Looks for no port: none is 0.
    pub(crate) fn none() -> Self {
        let (told, _) = mpsc::unbounded_channel();
        Self { awaited: Arc::new(AtomicU16::new(0)), told }
    }
}

impl Channel {
    async fn post<T: Serialize>(
        &mut self,
        path: &str,
        body: &T,
    ) -> Result<Response<Incoming>, Failure> {
        let body = serde_json::to_vec(body)?;
        let request = Request::post(format!("http://coordinator{path}"));
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("{path}: the coordinator answers {}", response.status()).into());
        }
        Ok(response)
    }
}
