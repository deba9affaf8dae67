//! Free ports for programs.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context as _, Result};

/// The first port that is given out.
const FIRST: u16 = 10_000;
/// The first ephemeral port (`ip_local_port_range`).
const KERNELS: u16 = 32_768;

/// A free port of loopback, for TCP and UDP; a different one at each call. It is not ephemeral, so the kernel does not assign
/// it to other processes.
///
/// # Errors
///
/// All are taken.
pub fn free_port() -> Result<SocketAddr> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let ports = u32::from(KERNELS - FIRST);
    // Programs that run beside each other begin at different places.
    let begin = std::process::id().wrapping_mul(251);
    let at = |_| {
        let number = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed).into()) % ports;
        let port = FIRST + u16::try_from(number).ok()?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()).then_some(at)
    };
    (0..ports).find_map(at).context("no port of this machine is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_gives_another_port_that_the_kernel_gives_to_nobody() {
        let first = free_port().unwrap();
        let taken = TcpListener::bind(free_port().unwrap()).unwrap();
        let ports = [first, taken.local_addr().unwrap(), free_port().unwrap()].map(|at| at.port());
        assert!(ports.iter().all(|port| (FIRST..KERNELS).contains(port)), "{ports:?}");
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
    }
}
