//! A device: it registers and polls as our agent and stock clients do.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use chassis::body::frame;
use control_protocol::{
    CAPABILITY_VERSION,
    frame::Decoder,
    key::{DiscoPublic, MachinePrivate, MachinePublic, NodePrivate, NodePublic},
    key_response::KeyResponse,
    map::{Hostinfo, MapRequest, MapResponse, Node},
    register::{Auth, RegisterRequest, RegisterResponse},
};
use control_stream::{
    NoiseStream,
    client::{Connect, connect},
};
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Serialize;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{Coordinator, PATIENCE, whole},
    http::{get, try_get},
};

/// A device with keys of its own.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) machine: MachinePrivate,
    pub(crate) node: NodePrivate,
    pub(crate) hostname: String,
}

/// Its channel to the coordinator.
#[derive(Clone)]
pub(crate) struct Channel {
    sender: SendRequest<Full<Bytes>>,
    device: Device,
}

/// Its map stream.
pub(crate) struct Stream {
    body: Incoming,
    decoder: Decoder,
    is_compressed: bool,
    held: ClientMap,
}

pub(crate) async fn server_key(address: SocketAddr) -> MachinePublic {
    let (status, body) = get(address, "/key?v=130").await;
    assert_eq!(status, 200);
    serde_json::from_str::<KeyResponse>(&body).unwrap().public_key
}

async fn try_server_key(address: SocketAddr) -> Option<MachinePublic> {
    let (_, body) = try_get(address, "/key?v=130").await.ok()?;
    Some(serde_json::from_str::<KeyResponse>(&body).ok()?.public_key)
}

impl Device {
    pub(crate) fn new(hostname: &str) -> Self {
        Self {
            machine: MachinePrivate::generate().unwrap(),
            node: NodePrivate::generate().unwrap(),
            hostname: hostname.to_owned(),
        }
    }

    pub(crate) fn key(&self) -> NodePublic {
        self.node.public()
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Channel {
        self.try_connect(address).await.expect("a channel opens")
    }

    /// Connects as a client does that takes so many bytes before it has read them.
    pub(crate) async fn connect_with_window(&self, address: SocketAddr, bytes: u32) -> Channel {
        self.open(address, Some(bytes)).await.expect("a channel opens")
    }

    /// Connects; nothing if that is refused.
    pub(crate) async fn try_connect(&self, address: SocketAddr) -> Option<Channel> {
        self.open(address, None).await
    }

    async fn open(&self, address: SocketAddr, window: Option<u32>) -> Option<Channel> {
        let server = try_server_key(address).await?;
        self.open_over(TcpStream::connect(address).await.ok()?, server, window).await
    }

    /// Opens a channel to the coordinator that has this key.
    pub(crate) async fn connect_over<IO>(&self, io: IO, server: MachinePublic) -> Option<Channel>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.open_over(io, server, None).await
    }

    async fn open_over<IO>(
        &self,
        io: IO,
        server: MachinePublic,
        window: Option<u32>,
    ) -> Option<Channel>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = self.noise_over(io, server).await?;
        let mut http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        if let Some(bytes) = window {
            http.initial_stream_window_size(bytes).initial_connection_window_size(bytes);
        }
        let (sender, connection) = http.handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Channel { sender, device: self.clone() })
    }

    /// Opens a channel in which nothing was said yet.
    pub(crate) async fn noise(&self, address: SocketAddr) -> NoiseStream<TcpStream> {
        let server = server_key(address).await;
        let io = TcpStream::connect(address).await.unwrap();
        // What is written arrives as it is written, and not gathered until something is acknowledged.
        io.set_nodelay(true).unwrap();
        self.noise_over(io, server).await.expect("a channel opens")
    }

    async fn noise_over<IO>(&self, io: IO, server: MachinePublic) -> Option<NoiseStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let options = Connect {
            host: "coordinator.test:8443",
            machine: &self.machine,
            server,
            version: u16::try_from(CAPABILITY_VERSION).unwrap(),
            timeout: PATIENCE,
        };
        connect(io, &options).await.ok()
    }

    pub(crate) fn request(&self) -> RegisterRequest {
        RegisterRequest {
            version: CAPABILITY_VERSION,
            node_key: self.key(),
            hostinfo: Some(Hostinfo {
                hostname: self.hostname.clone(),
                os: "linux".to_owned(),
                ..Hostinfo::default()
            }),
            ..RegisterRequest::default()
        }
    }

    pub(crate) fn with_key(&self, key: &str) -> RegisterRequest {
        RegisterRequest { auth: Some(Auth { auth_key: key.to_owned() }), ..self.request() }
    }

    /// Registers with a key that must be good.
    pub(crate) async fn join(&self, coordinator: &Coordinator, key: &str) -> Channel {
        let mut channel = self.connect(coordinator.address).await;
        let response = channel.register(&self.with_key(key)).await;
        assert!(response.machine_authorized, "{response:?}");
        channel
    }
}

impl Channel {
    pub(crate) async fn post(&mut self, path: &str, body: Bytes) -> hyper::Response<Incoming> {
        let uri = format!("http://coordinator.test{path}");
        let request = Request::post(uri).body(Full::new(body)).unwrap();
        self.sender.ready().await.unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    async fn json<T: Serialize>(&mut self, path: &str, body: &T) -> hyper::Response<Incoming> {
        self.post(path, serde_json::to_vec(body).unwrap().into()).await
    }

    pub(crate) async fn register(&mut self, request: &RegisterRequest) -> RegisterResponse {
        let response = self.json("/machine/register", request).await;
        assert_eq!(response.status(), StatusCode::OK);
        serde_json::from_slice(&whole(response).await.unwrap()).unwrap()
    }

    /// As [`Self::register`]; nothing if no whole answer comes.
    pub(crate) async fn try_register(
        &mut self,
        request: &RegisterRequest,
    ) -> Option<RegisterResponse> {
        let body = serde_json::to_vec(request).unwrap();
        let request = Request::post("http://coordinator.test/machine/register");
        let request = request.body(Full::new(body.into())).unwrap();
        self.sender.ready().await.ok()?;
        let response = self.sender.send_request(request).await.ok()?;
        let body = whole(response).await?;
        serde_json::from_slice(&body).ok()
    }

    pub(crate) fn map_request(&self) -> MapRequest {
        MapRequest {
            version: CAPABILITY_VERSION,
            node_key: self.device.key(),
            disco_key: DiscoPublic::from_bytes([9; 32]),
            ..MapRequest::default()
        }
    }

    /// Tells the coordinator of the device.
    pub(crate) async fn update(&mut self, request: MapRequest) -> (StatusCode, usize) {
        let response = self.json("/machine/map", &MapRequest { omit_peers: true, ..request }).await;
        let status = response.status();
        (status, whole(response).await.unwrap().len())
    }

    /// As [`Self::update`]; nothing if the channel is closed.
    pub(crate) async fn try_update(&mut self, request: MapRequest) -> Option<StatusCode> {
        let body = serde_json::to_vec(&MapRequest { omit_peers: true, ..request }).unwrap();
        let request = Request::post("http://coordinator.test/machine/map");
        let request = request.body(Full::new(body.into())).unwrap();
        self.sender.ready().await.ok()?;
        let response = self.sender.send_request(request).await.ok()?;
        let status = response.status();
        whole(response).await?;
        Some(status)
    }

    /// Asks for the map; the status if there is none.
    pub(crate) async fn try_stream(&mut self, compress: &str) -> Result<Stream, StatusCode> {
        let request = MapRequest {
            stream: true,
            keep_alive: true,
            compress: compress.to_owned(),
            ..self.map_request()
        };
        let response = self.json("/machine/map", &request).await;
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        let is_compressed = !compress.is_empty();
        Ok(Stream {
            body: response.into_body(),
            decoder: Decoder::new(1 << 20),
            is_compressed,
            held: ClientMap::default(),
        })
    }

    pub(crate) async fn stream(&mut self) -> Stream {
        self.try_stream("zstd").await.unwrap()
    }
}

impl Stream {
    /// The next response; `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<MapResponse> {
        timeout(PATIENCE, self.read()).await.expect("a response or the end comes in time")
    }

    async fn read(&mut self) -> Option<MapResponse> {
        loop {
            if let Some(body) = self.decoder.poll_body().unwrap() {
                let json = if self.is_compressed {
                    zstd::bulk::decompress(&body, 1 << 20).unwrap()
                } else {
                    body
                };
                return Some(serde_json::from_slice(&json).unwrap());
            }
            match frame(&mut self.body).await {
                Some(Ok(frame)) => self.decoder.handle_bytes(frame.data_ref().unwrap()),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Whether it ends as the coordinator ends one, after what it still has to say, and not by breaking off.
    pub(crate) async fn ends_cleanly(&mut self) -> bool {
        loop {
            match timeout(PATIENCE, frame(&mut self.body)).await.expect("the stream ends in time") {
                Some(Ok(_)) => {}
                Some(Err(_)) => return false,
                None => return true,
            }
        }
    }

    /// Whether nothing is told of any node until a name is set now. That name is told: so would have been whatever else
    /// there was to tell before it.
    pub(crate) async fn tells_nothing_before_a_name(&mut self, coordinator: &Coordinator) -> bool {
        let name = json!({ "device": coordinator.devices().await[0]["id"] });
        coordinator.ok(Method::PUT, "/records/control", name).await;
        loop {
            let response = self.next().await.expect("the stream goes on");
            let is_about_nodes = response.node.is_some()
                || response.peers.is_some()
                || !response.peers_changed.is_empty()
                || !response.peers_changed_patch.is_empty()
                || !response.peers_removed.is_empty();
            if is_about_nodes || response.dns_config.is_some() {
                return !is_about_nodes;
            }
        }
    }

    /// Reads at least one response, and on until `done` is true of what the client then holds.
    pub(crate) async fn until(&mut self, done: impl Fn(&ClientMap) -> bool) -> &ClientMap {
        loop {
            let response = self.next().await.expect("the stream goes on");
            self.held.apply(response);
            if done(&self.held) {
                return &self.held;
            }
        }
    }
}

/// What a client makes of the responses.
#[derive(Debug, Default)]
pub(crate) struct ClientMap {
    pub(crate) node: Option<Node>,
    pub(crate) peers: BTreeMap<i64, Node>,
    pub(crate) last: MapResponse,
}

impl ClientMap {
    pub(crate) fn apply(&mut self, response: MapResponse) {
        for peer in response.peers.iter().flatten().chain(&response.peers_changed) {
            self.peers.insert(peer.id, peer.clone());
        }
        for id in &response.peers_removed {
            self.peers.remove(id);
        }
        for change in &response.peers_changed_patch {
            if let Some(peer) = self.peers.get_mut(&change.node_id) {
                peer.apply(change);
            }
        }
        if response.node.is_some() {
            self.node.clone_from(&response.node);
        }
        self.last = response;
    }

    pub(crate) fn peer(&self, label: &str) -> Option<&Node> {
        self.peers.values().find(|peer| peer.name == format!("{label}.maru.home.arpa."))
    }
}
