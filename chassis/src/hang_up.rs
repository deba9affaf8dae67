//! Whether the other end of a UNIX socket is gone altogether.
//!
//! Reading tells no difference between an end that closed and one that closed its sending half, and writing tells only
//! when there is something to write: for as long as a model reads a prompt there is nothing. The kernel tells both halves
//! apart (`POLLHUP`, poll(2)).

use std::{
    io::{self, ErrorKind},
    os::{fd::AsFd as _, unix::net},
};

use tokio::{io::Interest, net::UnixStream};

/// Watches the other end of a socket, by a descriptor of its own whose readiness nobody else waits for.
#[derive(Debug)]
pub struct HangUp(UnixStream);

impl HangUp {
    /// Watches the other end of `stream`.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let own = net::UnixStream::from(stream.as_fd().try_clone_to_owned()?);
        UnixStream::from_std(own).map(Self)
    }

    /// Returns when the other end has closed, or both ends have closed their halves.
    pub async fn wait(&self) {
        // An error means that the runtime ends. That it may write is forgotten, so that the kernel tells the next change.
        let forget = || Err::<(), _>(ErrorKind::WouldBlock.into());
        while let Ok(ready) = self.0.ready(Interest::WRITABLE).await {
            if ready.is_write_closed() {
                return;
            }
            let _ = self.0.try_io(Interest::WRITABLE, forget);
        }
    }
}
