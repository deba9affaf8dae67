//! Passing queries on to the resolvers that the system had before, and asking them ourselves.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::RwLock,
    time::Duration,
};

use hickory_resolver::{
    Resolver,
    config::{NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use node_agent_core::names::{Transport, failure, is_answer};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::stream::{PORT, read_message, write_message};

/// How long one resolver has to answer before the next is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Resolvers that are asked at most, in their order (as glibc does).
const MAX_SERVERS: usize = 3;
/// Longest answer over UDP.
const MAX_ANSWER: usize = 65_535;

/// The previous resolvers.
#[derive(Debug, Default)]
pub struct Forwarder {
    servers: RwLock<Vec<IpAddr>>,
}

impl Forwarder {
    /// Replaces the resolvers.
    pub fn set_servers(&self, servers: &[IpAddr]) {
        if let Ok(mut current) = self.servers.write() {
            *current = servers.iter().take(MAX_SERVERS).copied().collect();
        }
    }

    fn servers(&self) -> Vec<IpAddr> {
        self.servers.read().map(|servers| servers.clone()).unwrap_or_default()
    }

    /// Asks each resolver in turn; answers SERVFAIL if none does.
    pub async fn forward(&self, query: &[u8], transport: Transport) -> Vec<u8> {
        for server in self.servers() {
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
                Err(_) => tracing::debug!(%server, "resolver is silent"),
            }
        }
        failure(query)
    }

    /// The addresses of a host: itself if it is an address, else by `/etc/hosts` and the
    /// previous resolvers (this program is static and has no NSS).
    ///
    /// # Errors
    ///
    /// Fails if nobody knows the host.
    pub async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let servers = self.servers().into_iter().map(NameServerConfig::udp_and_tcp).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .map_err(io::Error::other)?;
        let found = timeout(TIMEOUT * 3, resolver.lookup_ip(host))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the resolvers are silent"))?
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
    fn an_address_needs_no_resolver() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let forwarder = Forwarder::default();
        for host in ["192.0.2.1", "[2001:db8::1]"] {
            let found = runtime.block_on(forwarder.lookup(host)).unwrap();
            assert_eq!(found, [host.trim_matches(['[', ']']).parse::<IpAddr>().unwrap()]);
        }
    }
}
