//! One device joins another's network, and asks it until there is a direct path.

use std::{
    fmt,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Machine, internet::Internet, location::Location};

use super::{
    control::Control,
    device::{Device, Program},
};
use crate::stop;

/// How long a direct path is waited for after the first reply.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// How long the first reply is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the first device is alone, as one that is always on.
const SETTLED: Duration = Duration::from_secs(2);
/// Between two questions.
const POLL: Duration = Duration::from_millis(50);
/// Where the first device answers, in the mesh.
const PORT: u16 = 7777;
/// Of a question and its answer, in bytes: no packet of a handshake is as long.
const LENGTH: usize = 700;

/// Where the two devices are.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) enum Sites {
    /// Behind routers of their own.
    Two(Location, Location),
    /// Behind one.
    One(Location),
}

impl fmt::Display for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Two(first, second) => write!(f, "{first}, {second}"),
            Self::One(place) => write!(f, "one router, {place}"),
        }
    }
}

/// What was measured of a join, in seconds from its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Join {
    pub(super) reply_s: f64,
    /// None if the path stayed relayed.
    pub(super) direct_s: Option<f64>,
}

/// Measures one.
pub(super) fn measure(sites: Sites, programs: [Program; 2], stock: &Path) -> Result<Join> {
    let state = tempfile::tempdir()?;
    let mut internet = Internet::new()?;
    let control = Control::start(&mut internet, state.path())?;
    let (Sites::Two(first, _) | Sites::One(first)) = sites;
    let mut first_site = first.site(&mut internet)?;
    let first_machine = first_site.add("first")?;
    let (second, _second_site, second_machine) = match sites {
        Sites::One(place) => (place, None, first_site.add("second")?),
        Sites::Two(_, place) => {
            let mut site = place.site(&mut internet)?;
            let machine = site.add("second")?;
            (place, Some(site), machine)
        }
    };
    let [program, joining] = programs;
    let there = Device::start(program, &first_machine, state.path(), stock)?;
    there.join(&control.url(first == Location::Ipv6), &control.key()?)?;
    let address = there.address()?;
    let joining = Device::start(joining, &second_machine, state.path(), stock)?;
    let (url, key) = (control.url(second == Location::Ipv6), control.key()?);
    for device in [&there, &joining] {
        watch(&device.machine)?;
    }
    thread::sleep(SETTLED);

    let echo = there.machine.in_network(|| UdpSocket::bind(("0.0.0.0", PORT)))?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| answer(&echo, &over));
        let begun = Instant::now();
        let join = scope.spawn(|| joining.join(&url, &key));
        let measured = ask([&there, &joining], address, begun);
        over.store(true, Ordering::Relaxed);
        join.join().ok().context("the join panicked")??;
        measured
    })
}

/// Answers until it is over.
fn answer(socket: &UdpSocket, over: &AtomicBool) {
    let mut bytes = [0; LENGTH];
    let _ = socket.set_read_timeout(Some(POLL));
    while !over.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from);
        }
    }
}

/// Asks from the second device until the path is direct, or is not in time.
fn ask(devices: [&Device; 2], to: Ipv4Addr, begun: Instant) -> Result<Join> {
    let [_, second] = devices;
    let socket = second.machine.in_network(|| UdpSocket::bind("0.0.0.0:0"))?;
    socket.set_read_timeout(Some(POLL))?;
    let mut bytes = [0; LENGTH];
    let mut replied: Option<Instant> = None;
    loop {
        stop::check()?;
        let asked = Instant::now();
        // There is no route before the join.
        let sent = socket.send_to(&bytes, (to, PORT));
        let answered = sent.is_ok() && socket.recv_from(&mut bytes).is_ok();
        let now = Instant::now();
        if answered {
            replied.get_or_insert(now);
        }
        let Some(first) = replied else {
            ensure!(now - begun < PATIENCE, "no reply within {PATIENCE:?}");
            thread::sleep(POLL.saturating_sub(asked.elapsed()));
            continue;
        };
        let reply_s = (first - begun).as_secs_f64();
        if are_direct(devices)? {
            return Ok(Join { reply_s, direct_s: Some((now - begun).as_secs_f64()) });
        }
        if now - first > WAIT {
            return Ok(Join { reply_s, direct_s: None });
        }
        thread::sleep(POLL.saturating_sub(asked.elapsed()));
    }
}

/// Counts what arrives by UDP and is as long as a question.
fn watch(machine: &Machine) -> Result<()> {
    machine
        .sh(&format!(
            "nft add table inet watch
            nft 'add chain inet watch in {{ type filter hook input priority -300; }}'
            nft add rule inet watch in iifname eth0 udp length \\> {LENGTH} counter"
        ))
        .map(drop)
}

/// Whether such datagrams have arrived at both.
fn are_direct(devices: [&Device; 2]) -> Result<bool> {
    for device in devices {
        let text = device.machine.sh("nft list chain inet watch in")?;
        if text.contains("counter packets 0 ") {
            return Ok(false);
        }
    }
    Ok(true)
}
