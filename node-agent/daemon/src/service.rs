//! Mesh services: ports of this node's mesh addresses that lead to UNIX sockets.
//!
//! Peers reach services through the agent alone. Each connection begins, towards the service, with a header that
//! says who is calling ([`mesh_identity`]); it ends when that node leaves the map or the policy
//! closes the port. Bytes are passed on and never looked at, but for the heads of answers of a service that has no pages
//! ([`answer`](node_agent_core::answer)): they are cut if they could be one. A socket that is a link, or where another user
//! listens than should, is not connected to ([`chassis::unix::Connector`]).

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
    quota::Quota,
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
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use crate::{
    agent::Agent,
    config::Paths,
    pass::{Answers, keep_alive, pass_on},
};

pub mod local;

/// Connections of one port at once.
const MAX_CONNECTIONS: usize = 512;
/// Connections of one port at once from one node, so that no node can take them all.
const MAX_PER_NODE: usize = 64;
/// How long a service has to take a connection and its header.
const SERVICE_WAIT: Duration = Duration::from_secs(2);
/// How long before an address that cannot be bound is tried again.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// Who may call: map and filter, as they are in force together.
#[derive(Debug, Default)]
pub struct AccessSnapshot {
    /// The map.
    pub netmap: Arc<Netmap>,
    /// The filter compiled from it.
    pub filter: Arc<PacketFilter>,
}

impl AccessSnapshot {
    /// Who calls from `source`, if they may reach `destination`.
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

/// One port.
#[derive(Clone)]
struct Port {
    name: Arc<str>,
    socket: Arc<Connector>,
    answers: Answers,
    access: watch::Receiver<Arc<AccessSnapshot>>,
    /// By node.
    nodes: Quota<String>,
}

/// How a service is connected to.
fn connector(paths: &Paths, service: &Service) -> Connector {
    Connector::new(&paths.resolve(Path::new("")), &service.socket).listener(service.uid)
}

/// Keeps a listener on each of this node's mesh addresses for each service.
pub async fn run(agent: Arc<Agent>, mut access: watch::Receiver<Arc<AccessSnapshot>>) {
    let mut listeners: HashMap<SocketAddr, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let own = access.borrow_and_update().netmap.addresses();
        let mut wanted = HashMap::new();
        for service in &agent.config.settings.service {
            let socket = Arc::new(connector(&agent.paths, service));
            for address in own.iter().filter(|address| mesh::contains(**address)) {
                let name: Arc<str> = service.name.as_str().into();
                let port = Port {
                    name,
                    socket: Arc::clone(&socket),
                    answers: answers(service),
                    access: access.clone(),
                    nodes: Quota::new(MAX_CONNECTIONS, MAX_PER_NODE),
                };
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

/// What this service may answer.
fn answers(service: &Service) -> Answers {
    if service.pages { Answers::Any } else { Answers::NoPages }
}

/// Accepts on one address. Ends with all its connections when it is aborted.
async fn listen(address: SocketAddr, port: Port) {
    let listener = bind(address, &port.name).await;
    tracing::info!(%address, service = %port.name, "service offered");
    let connect = |stream, source, _| Some(port.clone().serve(stream, source, address));
    let connections = Connections::new("connections to a service", MAX_CONNECTIONS);
    connections.serve(listener, std::future::pending(), connect).await;
}

/// Binds as soon as that is possible; says once that it is not.
async fn bind(address: SocketAddr, service: &str) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !said => tracing::warn!(
                %address, service, %error,
                "cannot offer the service (does another program listen on this port on all addresses?)"
            ),
            Err(_) => {}
        }
        said = true;
        tokio::time::sleep(BIND_AGAIN).await;
    }
}

impl Port {
    async fn serve(mut self, mut stream: TcpStream, source: SocketAddr, destination: SocketAddr) {
        let access = Arc::clone(&self.access.borrow_and_update());
        let Some(identity) = access.identity(source.ip(), destination, &self.name) else {
            tracing::info!(%source, service = %self.name, "refused: not a peer that may call");
            return;
        };
        drop(access);
        let Ok(_permit) = self.nodes.take(identity.node.clone()) else {
            tracing::warn!(%source, node = identity.node, service = %self.name, "too many connections of a node: one refused");
            return;
        };
        let header = Header { source, destination, identity };
        let mut service = match timeout(SERVICE_WAIT, self.announce(&header)).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) if ConnectError::of(&error).is_some() => {
                tracing::warn!(service = %self.name, %error, "the service is not what it should be");
                return;
            }
            Ok(Err(error)) => {
                tracing::info!(service = %self.name, %error, "the service is not there");
                return;
            }
            Err(_) => {
                tracing::info!(service = %self.name, "the service takes no connection");
                return;
            }
        };
        let Header { identity, .. } = header;
        let node = &identity.node;
        tracing::debug!(%source, %node, service = %self.name, "connection");
        keep_alive(&stream);
        tokio::select! {
            _ = pass_on(stream.split(), service.split(), self.answers) => {}
            () = self.withdrawn(source.ip(), destination, &identity) => {
                tracing::info!(%source, %node, service = %self.name, "cut: the node may not call any more");
            }
        }
    }

    async fn announce(&self, header: &Header) -> io::Result<UnixStream> {
        let bytes = header.encode().map_err(io::Error::other)?;
        let mut service = self.socket.connect().await?;
        service.write_all(&bytes).await?;
        Ok(service)
    }

    /// Returns when whoever calls from there may not any more, or is not what the service was told.
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
mod tests;
