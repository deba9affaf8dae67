//! A flood of handshakes from unknown peers, at a given rate.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use blake2::{
    Blake2s256, Blake2sMac,
    digest::{Digest as _, FixedOutput as _, KeyInit as _, Update as _, consts::U16},
};

use super::bed::{CABLE, TestBed};

/// How many of them there are, each with an address of its own.
pub(super) const STRANGERS: u8 = 16;
/// Handshakes in a second, of all together.
pub(super) const PER_SECOND: u32 = 20_000;
/// Between two batches.
const PACE: Duration = Duration::from_millis(1);

/// Length of a handshake's first message, and where its first code lies (WireGuard, section 5.4.2).
const LENGTH: usize = 148;
const MAC1: std::ops::Range<usize> = 116..132;

/// Makes messages that only a Diffie-Hellman computation can distinguish from a member's.
struct Forger {
    key: [u8; 32],
    number: u64,
}

impl Forger {
    /// For a device with this public key.
    fn new(public: &[u8; 32]) -> Self {
        let key = Blake2s256::new().chain_update(b"mac1----").chain_update(public).finalize();
        Self { key: key.into(), number: 0 }
    }

    fn message(&mut self) -> Result<[u8; LENGTH]> {
        self.number += 1;
        let mut message = [0x5a; LENGTH];
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
        // Sender and ephemeral key: another one in each.
        message[4..12].copy_from_slice(&self.number.to_le_bytes());
        let mut mac = Blake2sMac::<U16>::new_from_slice(&self.key)?;
        mac.update(&message[..MAC1.start]);
        message[MAC1].copy_from_slice(&mac.finalize_fixed());
        // No cookie.
        message[MAC1.end..].fill(0);
        Ok(message)
    }
}

/// Runs `work` while strangers on the client's machine flood the device with this public key at the server's end.
pub(super) fn during<T>(
    bed: &TestBed,
    public: &[u8; 32],
    port: u16,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let sockets = strangers(bed)?;
    let (mut forger, over) = (Forger::new(public), AtomicBool::new(false));
    let to = bed.server_port(port);
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&sockets, to, &mut forger, &over));
        let result = work();
        over.store(true, Relaxed);
        flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        result
    })
}

/// A socket for each, at an address of its own on the cable.
fn strangers(bed: &TestBed) -> Result<Vec<UdpSocket>> {
    let bind = |number: u8| {
        let address = Ipv4Addr::new(10, 99, 0, 100 + number);
        bed.client.sh(&format!("ip addr add {address}/24 dev {CABLE}"))?;
        let at = SocketAddr::new(IpAddr::V4(address), 0);
        bed.client.in_network(|| UdpSocket::bind(at)).context("a stranger has no socket")
    };
    (0..STRANGERS).map(bind).collect()
}

fn flood(
    sockets: &[UdpSocket],
    to: SocketAddr,
    forger: &mut Forger,
    over: &AtomicBool,
) -> Result<()> {
    let batch = usize::try_from(PER_SECOND / 1000)?;
    let (mut due, mut turns) = (Instant::now(), sockets.iter().cycle());
    while !over.load(Relaxed) {
        for socket in turns.by_ref().take(batch) {
            // One that is lost is as good as one that is not noticed.
            let _ = socket.send_to(&forger.message()?, to);
        }
        due += PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_and_have_the_form_of_a_handshake() {
        let mut forger = Forger::new(&[7; 32]);
        let (one, two) = (forger.message().unwrap(), forger.message().unwrap());
        assert_ne!(one[4..12], two[4..12]);
        assert_ne!(one[MAC1], two[MAC1], "the code is of the whole message");
        assert_eq!((one[..4].to_vec(), one[MAC1.end..].to_vec()), (vec![1, 0, 0, 0], vec![0; 16]));
        let other = Forger::new(&[8; 32]).message().unwrap();
        assert_ne!(one[MAC1], other[MAC1], "the code is of the device's key");
    }
}
