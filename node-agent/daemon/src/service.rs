//! Mesh services: forwards ports of this node's mesh addresses to UNIX sockets.
//!
//! Each connection to a service begins with a header that names the caller ([`mesh_identity`]); it is cut when that node
//! leaves the map or the policy closes the port. Bytes are copied unread, except response heads of a service without pages
//! ([`response_head`](node_agent_core::response_head)). A socket that is a symbolic link, or that another user listens on, is
//! refused ([`chassis::unix::Connector`]).

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use chassis::{
    accept::Connections,
    quota::{Permit, Quota},
    unix::{ConnectError, Connector},
};
use common::mesh;
use mesh_identity::{Header, Identity, User, VERSION};
use node_agent_api::settings::Service;
use node_agent_core::{
    filter::{PacketFilter, packet::protocol},
    netmap::Netmap,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use crate::{
    agent::Agent,
    config::Paths,
    proxy::{ResponsePolicy, forward, keep_alive},
};

pub(crate) mod local;

/// Connections of one port at once.
pub(crate) const MAX_CONNECTIONS: usize = 512;
/// Connections of one port at once from one node, so that no node can take them all.
pub(crate) const MAX_PER_NODE: usize = 64;
/// Timeout of connecting to a service and sending the header.
const SERVICE_WAIT: Duration = Duration::from_secs(2);
/// Pause before binding an address is tried again.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// Network map and packet filter of the same moment: who may call a service.
#[derive(Debug, Default)]
pub(crate) struct AccessSnapshot {
    /// The map.
    pub(crate) netmap: Arc<Netmap>,
    /// The filter compiled from it.
    pub(crate) filter: Arc<PacketFilter>,
}

impl AccessSnapshot {
    /// The identity of `source`, if it may reach `destination`.
    fn identity(&self, source: IpAddr, destination: SocketAddr, service: &str) -> Option<Identity> {
        let caller = self.netmap.caller(source)?;
        let (to, port) = (destination.ip(), destination.port());
        if !self.filter.allows_port(source, to, protocol::TCP, port) {
            return None;
        }
        Some(Identity {
            v: VERSION,
            node: caller.stable_id,
            user: caller.user.map(|(id, login)| User { id, login }),
            tags: caller.tags,
            service: service.to_owned(),
        })
    }
}

/// One port, or one name of the port of HTTPS.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    name: Arc<str>,
    socket: Arc<Connector>,
    answers: ResponsePolicy,
    access: watch::Receiver<Arc<AccessSnapshot>>,
    /// By node.
    nodes: Quota<String>,
}

/// The connector of a service's socket.
fn connector(paths: &Paths, service: &Service) -> Connector {
    Connector::new(&paths.resolve(Path::new("")), &service.socket).listener(service.uid)
}

/// Keeps a listener on each of this node's mesh addresses for each service.
pub(crate) async fn run(agent: Arc<Agent>, mut access: watch::Receiver<Arc<AccessSnapshot>>) {
    let mut listeners: HashMap<SocketAddr, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let own = access.borrow_and_update().netmap.addresses();
        let mut wanted = HashMap::new();
        for service in &agent.config.settings.service {
            for address in own.iter().filter(|address| mesh::contains(**address)) {
                let nodes = Quota::new(MAX_CONNECTIONS, MAX_PER_NODE);
                let port = Port::new(&agent.paths, service, access.clone(), nodes);
                wanted.insert(SocketAddr::new(*address, service.port), port);
            }
        }
        listeners.retain(|address, listener| {
            let keep = wanted.contains_key(address);
            if !keep {
                listener.abort();
            }
            keep
        });
        for (address, port) in wanted {
            listeners.entry(address).or_insert_with(|| tasks.spawn(listen(address, port)));
        }
        while tasks.try_join_next().is_some() {}
        if access.changed().await.is_err() {
            return;
        }
    }
}

/// Which responses of this service are forwarded.
fn answers(service: &Service) -> ResponsePolicy {
    match &service.page_names[..] {
        _ if service.pages => ResponsePolicy::Any,
        [] => ResponsePolicy::NoPages,
        names => ResponsePolicy::PagesAt(names.into()),
    }
}

/// Accepts on one address. Aborting it closes all its connections.
async fn listen(address: SocketAddr, port: Port) {
    let listener = bind(address, &port.name).await;
    tracing::info!(%address, service = %port.name, "service offered");
    let connect = |stream, source, _| Some(port.clone().serve(stream, source, address));
    let connections = Connections::new("connections to a service", MAX_CONNECTIONS);
    connections.serve(listener, std::future::pending(), connect).await;
}

/// The identity of a caller, with a place among the connections of its node; `None` if it has no access or too many connections.
pub(crate) fn admit(
    access: &AccessSnapshot,
    nodes: &Quota<String>,
    name: &str,
    source: SocketAddr,
    destination: SocketAddr,
) -> Option<(Identity, Permit<String>)> {
    let Some(identity) = access.identity(source.ip(), destination, name) else {
        tracing::info!(%source, service = name, "refused: not a peer with access");
        return None;
    };
    let Ok(permit) = nodes.take(identity.node.clone()) else {
        tracing::warn!(%source, node = identity.node, service = name, "too many connections of a node: one refused");
        return None;
    };
    Some((identity, permit))
}

/// Binds as soon as possible; logs the first failure.
pub(crate) async fn bind(address: SocketAddr, service: &str) -> TcpListener {
    let mut logged = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !logged => tracing::warn!(
                %address, service, %error,
                "cannot offer the service (does another program listen on this port on all addresses?)"
            ),
            Err(_) => {}
        }
        logged = true;
        tokio::time::sleep(BIND_AGAIN).await;
    }
}

impl Port {
    /// The port of a service, which counts connections by `nodes`.
    pub(crate) fn new(
        paths: &Paths,
        service: &Service,
        access: watch::Receiver<Arc<AccessSnapshot>>,
        nodes: Quota<String>,
    ) -> Self {
        Self {
            name: service.name.as_str().into(),
            socket: Arc::new(connector(paths, service)),
            answers: answers(service),
            access,
            nodes,
        }
    }

    async fn serve(self, stream: TcpStream, source: SocketAddr, destination: SocketAddr) {
        let access = Arc::clone(&self.access.borrow());
        let Some((_, _permit)) = admit(&access, &self.nodes, &self.name, source, destination)
        else {
            return;
        };
        drop(access);
        keep_alive(&stream);
        self.pass(stream, source, destination, None).await;
    }

    /// Connects a caller to the service, until both have ended or the caller loses its access. `authority` is the name of the
    /// handshake, if `stream` is TLS.
    pub(crate) async fn pass(
        mut self,
        stream: impl AsyncRead + AsyncWrite,
        source: SocketAddr,
        destination: SocketAddr,
        authority: Option<String>,
    ) {
        let access = Arc::clone(&self.access.borrow_and_update());
        let Some(identity) = access.identity(source.ip(), destination, &self.name) else { return };
        drop(access);
        let header = Header { source, destination, identity, authority };
        let mut service = match timeout(SERVICE_WAIT, self.announce(&header)).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) if ConnectError::of(&error).is_some() => {
                tracing::warn!(service = %self.name, %error, "the service's socket is not trustworthy");
                return;
            }
            Ok(Err(error)) => {
                tracing::info!(service = %self.name, %error, "the service is not available");
                return;
            }
            Err(_) => {
                tracing::info!(service = %self.name, "the service does not accept the connection in time");
                return;
            }
        };
        let Header { identity, .. } = header;
        let node = &identity.node;
        tracing::debug!(%source, %node, service = %self.name, "connection");
        tokio::select! {
            _ = forward(split(stream), service.split(), self.answers.clone()) => {}
            () = self.withdrawn(source.ip(), destination, &identity) => {
                tracing::info!(%source, %node, service = %self.name, "cut: the node lost its access");
            }
        }
    }

    async fn announce(&self, header: &Header) -> io::Result<UnixStream> {
        let bytes = header.encode().map_err(io::Error::other)?;
        let mut service = self.socket.connect().await?;
        service.write_all(&bytes).await?;
        Ok(service)
    }

    /// Returns when the caller loses its access, or its identity changes.
    async fn withdrawn(&mut self, source: IpAddr, destination: SocketAddr, told: &Identity) {
        while self.access.changed().await.is_ok() {
            let access = Arc::clone(&self.access.borrow_and_update());
            if access.identity(source, destination, &self.name).as_ref() != Some(told) {
                return;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
