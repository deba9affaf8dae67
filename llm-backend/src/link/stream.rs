//! One connection: a UNIX socket or TCP, with TLS or without.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::MetadataExt as _,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::TokioResolver;
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use crate::address::Address;

/// What a connection does.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection to a backend.
pub(super) type Stream = Box<dyn Io>;

/// Which file a path names at the moment: its device and number. Another file under the same name has others.
pub(super) type FileId = (u64, u64);

/// The socket that a connection to `address` would be made to; `None` for TCP, and where nothing is.
pub(super) fn socket(address: &Address) -> Option<FileId> {
    let Address::Unix(path) = address else { return None };
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Connects to `address`; speaks TLS where `tls` says how, and takes only a certificate for its name.
pub(super) async fn connect(
    address: &Address,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => protect(UnixStream::connect(path).await?, tls).await,
        Address::Tcp { host, port, .. } => protect(tcp(host, *port).await?, tls).await,
    }
}

async fn protect(
    stream: impl Io + 'static,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
) -> io::Result<Stream> {
    Ok(match tls {
        Some((config, name)) => Box::new(TlsConnector::from(config).connect(name, stream).await?),
        None => Box::new(stream),
    })
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
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

/// A server that vanished without a word is noticed after half a minute, however long it may read a prompt.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// The addresses of a host; `localhost` is never looked up.
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
