//! How long a packet is under way and back, by UDP packets at a steady pace.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::Machine;

use super::bed::TestBed;

/// The port that answers.
pub(super) const PORT: u16 = 5202;
/// Bytes of a packet's payload; the first four say which it is.
const LENGTH: usize = 64;
/// Between two packets: 1,000 a second.
const PACE: Duration = Duration::from_millis(1);
/// How long after the last packet its answer is waited for.
const LATE: Duration = Duration::from_secs(1);
/// How often who waits for packets looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// Times there and back of the packets that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Times {
    sorted: Vec<Duration>,
    sent: usize,
}

impl Times {
    /// The time that this part of all answers took at most, in microseconds.
    pub(super) fn percentile_us(&self, part: f64) -> Result<f64> {
        let count = f64::from(u32::try_from(self.sorted.len())?);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index of a list, rounded up"
        )]
        let index = (count * part).ceil() as usize;
        let time = self.sorted.get(index.saturating_sub(1)).context("no packet came back")?;
        Ok(time.as_secs_f64() * 1e6)
    }

    /// How many of those sent did not come back, in per cent.
    pub(super) fn lost_percent(&self) -> Result<f64> {
        let [sent, back] = [self.sent, self.sorted.len()].map(u32::try_from);
        let sent = f64::from(sent?);
        Ok((sent - f64::from(back?)) * 100.0 / sent)
    }
}

/// Sends packets for so many seconds, and waits for their answers.
pub(super) fn times(bed: &TestBed, server: IpAddr, seconds: u32) -> Result<Times> {
    exchange(bed, server, usize::try_from(seconds)? * 1000)
}

/// Fails unless one of a few packets comes back.
pub(super) fn answers(bed: &TestBed, server: IpAddr) -> Result<()> {
    exchange(bed, server, 5).map(drop)
}

fn exchange(bed: &TestBed, server: IpAddr, count: usize) -> Result<Times> {
    let echo = bound(&bed.server, SocketAddr::new(server, PORT))?;
    let any = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = bound(&bed.client, SocketAddr::new(any, 0))?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| answer(&echo, &over));
        let times = ask(&socket, echo.local_addr()?, count);
        over.store(true, Relaxed);
        times
    })
}

/// A socket in the machine's network.
fn bound(machine: &Machine, at: SocketAddr) -> Result<UdpSocket> {
    let socket = machine.in_network(|| UdpSocket::bind(at));
    let socket = socket.with_context(|| format!("cannot receive at {at}"))?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

/// Sends every packet back until it is over.
fn answer(socket: &UdpSocket, over: &AtomicBool) {
    let mut packet = [0; LENGTH];
    while !over.load(Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut packet) {
            // One that is lost here is lost.
            let _ = socket.send_to(&packet[..length], from);
        }
    }
}

/// Sends so many packets, each on time, while another thread notes when they come back.
fn ask(socket: &UdpSocket, server: SocketAddr, count: usize) -> Result<Times> {
    let over = AtomicBool::new(false);
    let (sent, back) = thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(socket, count, &over));
        let sent = send(socket, server, count);
        let until = Instant::now() + LATE;
        while !receiver.is_finished() && Instant::now() < until {
            thread::sleep(PACE);
        }
        over.store(true, Relaxed);
        (sent, receiver.join())
    });
    let (sent, back) = (sent?, back.map_err(|_| anyhow::anyhow!("the receiver panicked"))?);
    let pairs = sent.iter().zip(&back);
    let mut sorted: Vec<_> =
        pairs.filter_map(|(sent, back)| Some(back.as_ref()?.duration_since(*sent))).collect();
    sorted.sort_unstable();
    ensure!(!sorted.is_empty(), "{server} answers none of {count} packets");
    Ok(Times { sorted, sent: count })
}

fn send(socket: &UdpSocket, server: SocketAddr, count: usize) -> Result<Vec<Instant>> {
    let (start, mut sent) = (Instant::now(), Vec::with_capacity(count));
    let mut packet = [0; LENGTH];
    for number in 0..u32::try_from(count)? {
        thread::sleep((start + PACE * number).saturating_duration_since(Instant::now()));
        packet[..4].copy_from_slice(&number.to_be_bytes());
        sent.push(Instant::now());
        match socket.send_to(&packet, server) {
            Ok(_) => {}
            // A full buffer loses it; a port that nobody listens at yet is said with the next one.
            Err(error) if is_loss(&error) => {}
            Err(error) => return Err(error).context("cannot send"),
        }
    }
    Ok(sent)
}

fn is_loss(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused)
        || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// When each came back; the first time, if a path doubles it.
fn receive(socket: &UdpSocket, count: usize, over: &AtomicBool) -> Vec<Option<Instant>> {
    let (mut back, mut left) = (vec![None; count], count);
    let mut packet = [0; LENGTH];
    while left > 0 && !over.load(Relaxed) {
        let Ok(length) = socket.recv(&mut packet) else { continue };
        let now = Instant::now();
        let number = packet[..length].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        let slot = number.and_then(|number| back.get_mut(usize::try_from(number).ok()?));
        if let Some(slot @ None) = slot {
            *slot = Some(now);
            left -= 1;
        }
    }
    back
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: &[u64], sent: usize) -> Times {
        let mut sorted: Vec<_> =
            milliseconds.iter().map(|time| Duration::from_millis(*time)).collect();
        sorted.sort_unstable();
        Times { sorted, sent }
    }

    #[test]
    fn a_percentile_is_what_so_many_took_at_most() {
        let hundred: Vec<u64> = (1..=100).collect();
        let times = times(&hundred, 100);
        for (part, us) in [(0.0, 1e3), (0.5, 50e3), (0.99, 99e3), (0.999, 100e3), (1.0, 100e3)] {
            let found = times.percentile_us(part).unwrap();
            assert!((found - us).abs() < 1e-6, "{part}: {found}");
        }
    }

    #[test]
    fn what_did_not_come_back_is_lost() {
        assert!((times(&[1, 2, 3], 4).lost_percent().unwrap() - 25.0).abs() < 1e-9);
        assert!(times(&[1], 1).lost_percent().unwrap() < 1e-9);
        assert!(times(&[], 4).percentile_us(0.5).is_err());
    }

    #[test]
    fn every_packet_comes_back_over_loopback() {
        let echo = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for socket in [&echo, &socket] {
            socket.set_read_timeout(Some(LOOK)).unwrap();
        }
        let over = AtomicBool::new(false);
        let times = thread::scope(|scope| {
            scope.spawn(|| answer(&echo, &over));
            let times = ask(&socket, echo.local_addr().unwrap(), 20);
            over.store(true, Relaxed);
            times.unwrap()
        });
        assert_eq!((times.sorted.len(), times.sent), (20, 20));
    }

    #[test]
    fn silence_is_an_error() {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(LOOK)).unwrap();
        let error = ask(&socket, silent.local_addr().unwrap(), 2).unwrap_err().to_string();
        assert!(error.contains("answers none of 2 packets"), "{error}");
    }
}
