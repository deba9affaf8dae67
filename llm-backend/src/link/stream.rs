//! One connection: a UNIX socket or TCP, with TLS or without.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use hickory_resolver::TokioResolver;
use rustls::{ClientConfig, pki_types::ServerName};
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
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
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
