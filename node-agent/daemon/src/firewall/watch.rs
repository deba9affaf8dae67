//! Watches this machine's nftables for changes.

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
/// How long changes are collected: a reload of a firewall makes many.
const COLLECT: Duration = Duration::from_millis(500);
/// Polling interval without notifications.
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
            tracing::debug!(%error, "the kernel sends no notifications of changes: polling");
        }
        Self { socket: socket.ok() }
    }

    /// Returns some time after a change, also after one of this program.
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

/// Reads and discards pending notifications.
fn drain(socket: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    loop {
        match recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
            // NOBUFS: the kernel dropped some.
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}
