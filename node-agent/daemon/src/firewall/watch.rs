//! Notices that somebody changed this machine's nftables.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind,
        netlink::{NETFILTER, SocketAddrNetlink},
        recv, socket_with,
    },
};
use tokio::{io::unix::AsyncFd, time::sleep};

/// The kernel's group for changes of nftables (`NFNLGRP_NFTABLES`, linux/netfilter/nfnetlink.h), as a bit.
const NFTABLES: u32 = 1 << (7 - 1);
/// How long changes are collected: who reloads a firewall makes many.
const COLLECT: Duration = Duration::from_millis(500);
/// How often to look where the kernel does not tell.
const LOOK: Duration = Duration::from_secs(5);

/// A subscription to changes of this network namespace's nftables.
pub(super) struct Watch {
    socket: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    #[allow(
        deprecated,
        reason = "sound for what owns its descriptor; the new constructor cannot be called without unsafe code"
    )]
    pub(super) fn start() -> Self {
        let socket = open().and_then(AsyncFd::new);
        if let Err(error) = &socket {
            tracing::debug!(%error, "the kernel does not tell of changes: looking now and then");
        }
        Self { socket: socket.ok() }
    }

    /// Returns some time after a change: this program's own are among them.
    pub(super) async fn changed(&self) {
        let Some(socket) = &self.socket else { return sleep(LOOK).await };
        let Ok(mut ready) = socket.readable().await else { return sleep(LOOK).await };
        sleep(COLLECT).await;
        drain(socket.get_ref());
        ready.clear_ready();
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, NFTABLES))?;
    Ok(socket)
}

/// Reads what is there and forgets it: that there was something is all that counts.
fn drain(socket: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    loop {
        match recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
            // More came than the kernel kept.
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}
