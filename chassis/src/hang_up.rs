//! Detects that the peer of a UNIX socket closed it.
//!
//! A read cannot tell a closed socket from a half-closed one, and there may be nothing to write for minutes, while a model
//! reads a prompt. `POLLHUP` (poll(2)) tells.

use std::{
    io::{self, ErrorKind},
    os::{fd::AsFd as _, unix::net},
};

use tokio::{io::Interest, net::UnixStream};

/// Watches the peer of a socket, with a file descriptor of its own.
#[derive(Debug)]
pub struct HangUp(UnixStream);

impl HangUp {
    /// Watches the peer of `stream`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let own = net::UnixStream::from(stream.as_fd().try_clone_to_owned()?);
        UnixStream::from_std(own).map(Self)
    }

    /// Waits until the peer has closed the socket, or both ends have closed their sending halves.
    pub async fn wait(&self) {
        // An error means that the runtime ends. Clearing the readiness makes Tokio wait for the next event.
        let clear = || Err::<(), _>(ErrorKind::WouldBlock.into());
        while let Ok(ready) = self.0.ready(Interest::WRITABLE).await {
            if ready.is_write_closed() {
                return;
            }
            let _ = self.0.try_io(Interest::WRITABLE, clear);
        }
    }
}
