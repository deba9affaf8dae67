//! One connection: a UNIX socket or TCP, with TLS or without.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use chassis::dial;
pub(super) use chassis::dial::Stream;
use tokio::net::UnixStream;

use crate::address::Address;

/// Which file a path names at the moment: its device and number. Another file under the same name has others.
pub(super) type FileId = (u64, u64);

/// The socket that a connection to `address` would be made to; `None` for TCP, and where nothing is.
pub(super) fn socket(address: &Address) -> Option<FileId> {
    let Address::Unix(path) = address else { return None };
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Connects to `address`; speaks TLS where `tls` says how, and takes only a certificate for its name.
pub(super) async fn connect(address: &Address, tls: Option<dial::Trust>) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => dial::secure(UnixStream::connect(path).await?, tls).await,
        Address::Tcp { host, port, .. } => dial::secure(dial::tcp(host, *port).await?, tls).await,
    }
}
