//! Forwards queries to the system's previous resolvers, and looks up names there.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::RwLock,
    time::Duration,
};

use common::route;
use hickory_resolver::{
    Resolver,
    config::{NameServerConfig, ResolverConfig},
};
use node_agent_core::names::{Transport, failure, is_answer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::outside::OutsideResolver;

/// Port of DNS.
pub(super) const PORT: u16 = 53;
/// Timeout of one resolver, after which the next is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Most resolvers that are asked, in order (as glibc does).
const MAX_SERVERS: usize = 3;
/// Longest answer over UDP.
const MAX_ANSWER: usize = 65_535;

/// The previous resolvers.
#[derive(Debug, Default)]
pub struct Forwarder {
    servers: RwLock<Vec<IpAddr>>,
    /// The resolvers of an exit node that is set; if it is empty, those of the previous ones that have public addresses.
    of_exit: Option<Vec<IpAddr>>,
}

impl Forwarder {
    /// Without resolvers yet; `of_exit` is for queries of programs while an exit node is set, and goes into the tunnel.
    pub(crate) fn new(of_exit: Option<Vec<IpAddr>>) -> Self {
        Self { servers: RwLock::default(), of_exit }
    }

    /// The resolvers for queries of programs.
    fn resolvers(&self) -> Vec<IpAddr> {
        match &self.of_exit {
            None => self.servers(),
            Some(resolvers) if resolvers.is_empty() => {
                self.servers().into_iter().filter(|server| route::is_public(*server)).collect()
            }
            Some(resolvers) => resolvers.iter().take(MAX_SERVERS).copied().collect(),
        }
    }

    /// Whether an exit node is set, and no resolver for queries of programs: no name of the internet is found.
    pub(crate) fn lacks_exit_resolver(&self) -> bool {
        self.of_exit.is_some() && self.resolvers().is_empty()
    }

    /// Replaces the resolvers.
    pub(crate) fn set_servers(&self, servers: &[IpAddr]) {
        if let Ok(mut current) = self.servers.write() {
            *current = servers.iter().take(MAX_SERVERS).copied().collect();
        }
    }

    fn servers(&self) -> Vec<IpAddr> {
        self.servers.read().map(|servers| servers.clone()).unwrap_or_default()
    }

    /// Asks each resolver in turn; returns SERVFAIL if none answers.
    pub(crate) async fn forward(&self, query: &[u8], transport: Transport) -> Vec<u8> {
        for server in self.resolvers() {
            let server = SocketAddr::new(server, PORT);
            let asked = async {
                match transport {
                    Transport::Udp => ask_udp(server, query).await,
                    Transport::Tcp => ask_tcp(server, query).await,
                }
            };
            match timeout(TIMEOUT, asked).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(error)) => tracing::debug!(%server, %error, "resolver failed"),
                Err(_) => tracing::debug!(%server, "resolver timed out"),
            }
        }
        failure(query)
    }

    /// The addresses of a coordinator's or relay's host: itself if it is an address, else from `/etc/hosts` and the previous
    /// resolvers (a static program has no NSS), never through the tunnel.
    pub(crate) async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let servers = self.servers().into_iter().map(NameServerConfig::udp_and_tcp).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let resolver = Resolver::builder_with_config(config, OutsideResolver::default())
            .build()
            .map_err(io::Error::other)?;
        let found = timeout(TIMEOUT * 3, resolver.lookup_ip(host))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the resolvers timed out"))?
            .map_err(io::Error::other)?;
        Ok(found.iter().collect())
    }
}

async fn ask_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; MAX_ANSWER];
    loop {
        let len = socket.recv(&mut buffer).await?;
        if is_answer(&buffer[..len], query) {
            buffer.truncate(len);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, query).await?;
    match read_message(&mut stream).await? {
        Some(answer) if is_answer(&answer, query) => Ok(answer),
        Some(_) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Reads one message of DNS over TCP (RFC 1035, section 4.2.2); `None` at the end of the stream.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 2];
    match stream.read_exact(&mut len).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut packet = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}

pub(super) async fn write_message(stream: &mut TcpStream, packet: &[u8]) -> io::Result<()> {
    let len = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), packet].concat()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_resolvers_the_failure_names_the_query() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let query = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        let answer = runtime.block_on(Forwarder::default().forward(&query, Transport::Udp));
        assert_eq!(answer, [7, 9, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(is_answer(&answer, &query));
    }

    #[test]
    fn through_an_exit_node_a_resolver_of_the_own_network_is_none() {
        let servers = ["192.168.1.1", "fd00::1", "9.9.9.9"].map(|text| text.parse().unwrap());
        let lacks = |of_exit: Option<&[IpAddr]>, servers: &[IpAddr]| {
            let forwarder = Forwarder::new(of_exit.map(<[IpAddr]>::to_vec));
            forwarder.set_servers(servers);
            forwarder.lacks_exit_resolver()
        };
        assert!(lacks(Some(&[]), &servers[..2]) && lacks(Some(&[]), &[]));
        assert!(!lacks(Some(&[]), &servers));
        // Named by the settings, one behind the exit node may be private. Without an exit node each is asked.
        assert!(!lacks(Some(&servers[..1]), &servers[..2]));
        assert!(!lacks(None, &servers[..2]));
    }

    #[test]
    fn an_address_needs_no_resolver() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let forwarder = Forwarder::default();
        for host in ["192.0.2.1", "[2001:db8::1]"] {
            let found = runtime.block_on(forwarder.lookup(host)).unwrap();
            assert_eq!(found, [host.trim_matches(['[', ']']).parse::<IpAddr>().unwrap()]);
        }
    }
}
