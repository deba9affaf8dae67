//! Connecting over TCP, optionally with TLS.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::TokioResolver;
use hyper_util::client::legacy::connect::{Connected, Connection};
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection over TCP, TLS or a UNIX socket.
pub type Stream = Box<dyn Io>;

/// Lets hyper's connection pool hold it.
impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// The TLS configuration, and the name that the server's certificate must have.
pub type Trust = (Arc<ClientConfig>, ServerName<'static>);

/// Connects to a host, trying its addresses in turn.
///
/// # Errors
///
/// The name has no address, or no address accepts the connection.
pub async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve(host).await? {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Performs the TLS handshake if `trust` is set.
///
/// # Errors
///
/// The certificate is not trusted, or the connection fails.
pub async fn secure(stream: impl Io + 'static, trust: Option<Trust>) -> io::Result<Stream> {
    Ok(match trust {
        Some((config, name)) => Box::new(TlsConnector::from(config).connect(name, stream).await?),
        None => Box::new(stream),
    })
}

/// Detects a dead server within half a minute, also while no data is expected.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// The addresses of a host; `localhost` needs no DNS.
async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let found = resolver.map_err(io::Error::other)?.lookup_ip(host).await;
    Ok(found.map_err(io::Error::other)?.iter().collect())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernel_asks_whether_a_silent_server_is_still_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(!SockRef::from(&stream).keepalive().unwrap(), "not by itself");

        keep_alive(&stream).unwrap();

        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    }
}
