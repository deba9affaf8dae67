//! A cable on which some of the UDP is lost, some comes twice and some is overtaken.
#![allow(unsafe_code, reason = "the kernel makes an interface by ioctl(2)")]

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use nix::libc;

use crate::{Machine, machine::name_ends};

/// Of how many datagrams one is lost, one comes twice and one is overtaken by the next.
const ONE_IN: u64 = 10;
/// Longest frame, in bytes: an Ethernet header and what interfaces carry.
const FRAME: usize = 14 + 1500;

/// What happened to datagrams on the cable, both ways together.
#[derive(Debug, Default)]
pub struct Mischief {
    /// So many were lost.
    pub lost: AtomicU64,
    /// So many came twice.
    pub doubled: AtomicU64,
    /// So many were overtaken.
    pub overtaken: AtomicU64,
}

/// Joins two machines by such a cable: (machine, interface, address with prefix length) each. It lasts as long as this process.
///
/// # Errors
///
/// As [`crate::link`], or there is no `/dev/net/tun`.
pub fn link(a: (&Machine, &str, &str), b: (&Machine, &str, &str)) -> Result<Arc<Mischief>> {
    let mischief = Arc::new(Mischief::default());
    let ends = [a, b].map(|(machine, interface, _)| machine.in_network(|| tap(interface)));
    let [from_a, from_b] = ends.map(|end| end.context("cannot make an end of the cable"));
    let (from_a, from_b) = (from_a?, from_b?);
    name_ends(a, b)?;
    let (to_a, to_b) = (from_a.try_clone()?, from_b.try_clone()?);
    for (from, to, seed) in [(from_a, to_b, 1), (from_b, to_a, 2)] {
        let mischief = Arc::clone(&mischief);
        thread::spawn(move || carry(from, to, seed, &mischief));
    }
    Ok(mischief)
}

/// Makes an interface whose frames are read from and written to the file.
fn tap(name: &str) -> Result<File> {
    ensure!(name.len() < libc::IFNAMSIZ, "an interface's name is shorter than {name:?}");
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: `request` is valid for reads and writes, and names an interface.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(file)
}

/// Carries frames one way, until an end is gone.
fn carry(mut from: File, mut to: File, seed: u64, mischief: &Mischief) {
    let (mut frame, mut random) = ([0; FRAME], seed);
    let mut overtaken: Option<Vec<u8>> = None;
    while let Ok(length) = from.read(&mut frame) {
        let frame = &frame[..length];
        random = next(random);
        let fate = if is_udp(frame) { (random >> 32) % ONE_IN } else { ONE_IN };
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let times = match fate {
            0 => {
                count(&mischief.lost);
                continue;
            }
            1 if overtaken.is_none() => {
                overtaken = Some(frame.to_vec());
                continue;
            }
            2 => {
                count(&mischief.doubled);
                2
            }
            _ => 1,
        };
        for _ in 0..times {
            // An interface that is down takes nothing.
            let _ = to.write_all(frame);
        }
        if let Some(late) = overtaken.take() {
            count(&mischief.overtaken);
            let _ = to.write_all(&late);
        }
    }
}

/// The next number of a generator (Knuth, MMIX): the same in each run.
fn next(random: u64) -> u64 {
    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Whether an Ethernet frame carries UDP over IPv4 or IPv6.
fn is_udp(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&17),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&17),
        _ => false,
    }
}
