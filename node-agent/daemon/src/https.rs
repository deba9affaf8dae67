//! HTTPS in the mesh: TLS on port 443 of this node's mesh addresses, in front of the services that have names there.
//!
//! ```text
//! connection ── of a peer with access? ──▶ first byte ──┬─ TLS ──▶ handshake, whose name picks the service ──▶ header, bytes
//!                                                       └─ other ──▶ the page that explains how to trust the authority
//! ```
//!
//! TLS ends here, so that no service has a key. The header names what the handshake was for
//! ([`mesh_identity::Header::authority`]); the service refuses a request with another `Host`. The certificates are those of the
//! network's own [`authority`], or [`public`] ones, which [`orders`] gets through the coordinator.
//!
//! A handshake holds a place for [`HANDSHAKE`] at most, and a node only some of the places, so that it cannot keep others out.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chassis::{
    accept::{Connections, ShutdownSignal},
    http::Http,
    log::event,
    quota::Quota,
};
use common::mesh;
use node_agent_api::settings::Service;
use node_agent_core::domain::Domain;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use services::HTTPS_PORT;
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    agent::Agent,
    config::Paths,
    proxy::keep_alive,
    service::{self, AccessSnapshot, MAX_CONNECTIONS, MAX_PER_NODE, Port},
};

pub(crate) mod authority;
mod certificates;
mod orders;
pub(crate) mod page;
pub(crate) mod public;

use authority::{Authority, AuthorityError};
use certificates::Certificates;
use page::TrustPage;

/// Timeout of a handshake, from the connection on.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once.
const MAX_HANDSHAKES: usize = 64;
/// Handshakes at once with one node.
const MAX_HANDSHAKES_PER_NODE: usize = 8;
/// Timeout of a request for the page, and of its answer.
const PAGE: Duration = Duration::from_secs(10);
/// How often certificates are looked at; the machine may be suspended meanwhile.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// The first byte of TLS (RFC 8446, section 5.1: a record with a handshake).
const TLS: u8 = 22;
/// Name of these connections in logs, before they name a service.
const NAME: &str = "https";

/// What is behind port 443.
struct Front {
    authority: Authority,
    certificates: Arc<Certificates>,
    tls: TlsAcceptor,
    /// The services, by host name.
    ports: HashMap<String, Port>,
    page: TrustPage,
    access: watch::Receiver<Arc<AccessSnapshot>>,
    /// Connections by node.
    nodes: Quota<String>,
    /// Unfinished handshakes by node.
    handshakes: Quota<String>,
}

/// A connection after its first bytes.
enum Begun {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

/// Serves the names of the settings as long as this device is a node of a network with a domain.
pub(crate) async fn run(agent: Arc<Agent>, mut access: watch::Receiver<Arc<AccessSnapshot>>) {
    if agent.config.settings.service.iter().all(|service| service.https.is_empty()) {
        return;
    }
    let mut serving: Option<(Domain, Vec<SocketAddr>, JoinSet<()>)> = None;
    loop {
        let netmap = Arc::clone(&access.borrow_and_update().netmap);
        let own = netmap.addresses().into_iter().filter(|address| mesh::contains(*address));
        let own: Vec<_> = own.map(|address| SocketAddr::new(address, HTTPS_PORT)).collect();
        let network = netmap.network().cloned();
        let is_current = match (&serving, &network) {
            (Some((domain, addresses, _)), Some(network)) => domain == network && *addresses == own,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_current {
            serving = network.and_then(|network| {
                let tasks = serve_network(&agent, &network, &own, &access)
                    .inspect_err(|error| {
                        let error = error as &dyn std::error::Error;
                        tracing::error!(error, "there is no HTTPS in the mesh");
                    })
                    .ok()?;
                Some((network, own, tasks))
            });
        }
        if access.changed().await.is_err() {
            return;
        }
    }
}

/// Listens on the addresses, and keeps the certificates fresh.
fn serve_network(
    agent: &Arc<Agent>,
    network: &Domain,
    addresses: &[SocketAddr],
    access: &watch::Receiver<Arc<AccessSnapshot>>,
) -> Result<JoinSet<()>, AuthorityError> {
    let authority = tokio::task::block_in_place(|| agent.authority(network))?;
    let services = &agent.config.settings.service;
    let front = Arc::new(Front::new(authority, services, &agent.paths, access.clone())?);
    let mut tasks = JoinSet::new();
    for address in addresses {
        tasks.spawn(listen(*address, Arc::clone(&front)));
    }
    let hosts = front.ports.keys().cloned().collect();
    tasks.spawn(orders::run(Arc::clone(agent), Arc::clone(&front.certificates), hosts));
    tasks.spawn(async move {
        loop {
            sleep(LOOK).await;
            if let Err(error) = front.renew(SystemTime::now()) {
                let error = &error as &dyn std::error::Error;
                let event = event::CERTIFICATE;
                tracing::error!(%event, error, "the certificates of the mesh's names are not renewed");
            }
        }
    });
    Ok(tasks)
}

/// TLS 1.2 and 1.3, HTTP/1.1 only.
fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, AuthorityError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| AuthorityError::Unusable(error.into()))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts on one address. Aborting it closes all its connections.
async fn listen(address: SocketAddr, front: Arc<Front>) {
    let listener = service::bind(address, NAME).await;
    tracing::info!(%address, "HTTPS offered");
    let connect = |stream, source, stopping| {
        Some(Arc::clone(&front).serve(stream, source, address, stopping))
    };
    let connections = Connections::new("HTTPS connections", MAX_CONNECTIONS);
    connections.serve(listener, std::future::pending(), connect).await;
}

impl Front {
    fn new(
        authority: Authority,
        services: &[Service],
        paths: &Paths,
        access: watch::Receiver<Arc<AccessSnapshot>>,
    ) -> Result<Self, AuthorityError> {
        let nodes = Quota::new(MAX_CONNECTIONS, MAX_PER_NODE);
        let mut ports = HashMap::new();
        for service in services {
            for label in &service.https {
                let port = Port::new(paths, service, access.clone(), nodes.clone());
                ports.insert(format!("{label}.{}", authority.network), port);
            }
        }
        let certificates = Arc::new(Certificates::default());
        let front = Self {
            tls: acceptor(Arc::clone(&certificates))?,
            page: TrustPage::new(&authority, ports.keys())?,
            authority,
            certificates,
            ports,
            access,
            nodes,
            handshakes: Quota::new(MAX_HANDSHAKES, MAX_HANDSHAKES_PER_NODE),
        };
        front.renew(SystemTime::now())?;
        Ok(front)
    }

    /// Makes the certificates that are missing or due at `now`.
    fn renew(&self, now: SystemTime) -> Result<(), AuthorityError> {
        self.certificates.renew(&self.authority, self.ports.keys(), now)
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        source: SocketAddr,
        destination: SocketAddr,
        stopping: ShutdownSignal,
    ) {
        let access = Arc::clone(&self.access.borrow());
        let Some((node, _permit)) = service::admit(&access, &self.nodes, NAME, source, destination)
        else {
            return;
        };
        drop(access);
        keep_alive(&stream);
        match self.begin(stream, node.node).await {
            Ok(Begun::Tls(stream)) => {
                let host = stream.get_ref().1.server_name().map(str::to_ascii_lowercase);
                let port = host.as_ref().and_then(|host| self.ports.get(host)).cloned();
                // Without one there was no certificate.
                let Some(port) = port else { return };
                port.pass(*stream, source, destination, host).await;
            }
            Ok(Begun::Plain(stream)) => {
                let http = Http::new(PAGE).one_request(PAGE).buffer(page::HEAD_MAX);
                http.route(stream, self.page.router(), (), stopping).await;
            }
            Err(error) => tracing::debug!(%source, %error, "no TLS handshake"),
        }
    }

    /// Reads the first byte, and does the handshake if it is TLS.
    async fn begin(&self, stream: TcpStream, node: String) -> io::Result<Begun> {
        let _place = self.handshakes.take(node).map_err(io::Error::other)?;
        let beginning = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if first != [TLS] {
                return Ok(Begun::Plain(stream));
            }
            Ok(Begun::Tls(Box::new(self.tls.accept(stream).await?)))
        };
        let late = || Err(io::ErrorKind::TimedOut.into());
        timeout(HANDSHAKE, beginning).await.unwrap_or_else(|_| late())
    }
}

#[cfg(test)]
mod tests;
