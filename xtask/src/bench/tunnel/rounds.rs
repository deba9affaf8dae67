//! The peers in turn, round after round.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Result, anyhow};

use super::{
    Effort,
    bed::{Bed, Outside},
    figure::{
        CPU, Figures, LOADED, RESIDENT, TCP_1, TCP_10, TCP_BOTH, TCP_IPV6, TCP_RELAY, TCP_REVERSE,
        TIMES, TIMES_LOST, UDP,
    },
    iperf,
    kind::Kind,
    path::{self, Tunnel},
    probe,
    program::Program,
};
use crate::{bench::process, progress::Step, stop};

/// How long a load runs before and after what is measured under it, in seconds.
const LEAD_SECONDS: u32 = 1;

/// A peer, and what was measured of it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) kind: Kind,
    /// Nothing, if it cannot be built.
    program: Option<Program>,
    pub(super) figures: Figures,
    /// Why it, or it over one kind of cable, was not measured.
    pub(super) failed: BTreeMap<Option<Outside>, String>,
}

impl Peer {
    /// Builds its program; if that fails, it stays in the list and says why.
    pub(super) fn prepare(kind: Kind) -> Self {
        let mut peer =
            Self { kind, program: None, figures: Figures::default(), failed: BTreeMap::new() };
        match Program::prepare(kind) {
            Ok(program) => peer.program = Some(program),
            Err(error) => {
                peer.failed.insert(None, line(&error));
            }
        }
        peer
    }

    /// Of its program.
    pub(super) fn version(&self) -> &str {
        self.program.as_ref().map_or("", |program| &program.version)
    }

    /// Measures it over one kind of cable, unless that failed before.
    fn measure(&mut self, outside: Outside, effort: Effort) -> Result<()> {
        let Some(program) =
            self.program.clone().filter(|_| !self.failed.contains_key(&Some(outside)))
        else {
            return Ok(());
        };
        let measured = open(&program, outside, effort, &mut self.figures);
        stop::check()?;
        if let Err(error) = measured {
            self.failed.insert(Some(outside), line(&error));
        }
        Ok(())
    }
}

/// Measures all of them; the first is the cable.
pub(super) fn measure(peers: &mut [Peer], effort: Effort) -> Result<()> {
    for round in 0..effort.rounds {
        for peer in &mut *peers {
            for outside in peer.kind.outsides() {
                stop::check()?;
                let what =
                    format!("round {} of {}: {}, {outside}", round + 1, effort.rounds, peer.kind);
                let step = Step::new(&what);
                peer.measure(*outside, effort)?;
                step.done(&what);
            }
        }
        let Some((cable, others)) = peers.split_first_mut() else { continue };
        for peer in others {
            add_difference(&mut peer.figures, &cable.figures, usize::try_from(round)?);
        }
    }
    Ok(())
}

/// What a packet takes longer than over the cable in the same round.
fn add_difference(figures: &mut Figures, cable: &Figures, round: usize) {
    for (_, whole, added) in TIMES {
        let both = figures.of_round(whole, round).zip(cable.of_round(whole, round));
        if let Some((own, base)) = both {
            figures.add(added, own - base);
        }
    }
}

/// Measures a fresh tunnel between fresh machines.
fn open(program: &Program, outside: Outside, effort: Effort, figures: &mut Figures) -> Result<()> {
    let bed = Bed::new(outside)?;
    let tunnel = program.open(&bed)?;
    let _server = iperf::serve(&bed)?;
    path::wait(&*tunnel, &bed)?;
    let path = Path { tunnel: &*tunnel, bed: &bed, seconds: effort.seconds };
    // Kept only if it went the way that it is told to have gone.
    let mut found = Figures::default();
    match outside {
        Outside::Ipv4 => path.everything(&mut found)?,
        Outside::Ipv6 => found.add(TCP_IPV6, path.tcp(&[])?.gbit_s),
        Outside::Relay => found.add(TCP_RELAY, path.tcp(&[])?.gbit_s),
    }
    tunnel.check(&bed)?;
    figures.extend(found);
    Ok(())
}

/// An open tunnel with its machines.
struct Path<'a> {
    tunnel: &'a dyn Tunnel,
    bed: &'a Bed,
    /// Length of a run.
    seconds: u32,
}

impl Path<'_> {
    fn everything(&self, figures: &mut Figures) -> Result<()> {
        self.throughput(figures)?;
        self.datagrams(figures)?;
        // Both ends did the same; what counts is the one that took more.
        let resident = self.tunnel.processes().into_iter().map(process::resident_mib);
        if let Some(most) = resident.collect::<Result<Vec<_>>>()?.into_iter().reduce(f64::max) {
            figures.add(RESIDENT, most);
        }
        self.latency(figures)
    }

    fn tcp(&self, more: &[&str]) -> Result<iperf::Tcp> {
        stop::check()?;
        iperf::tcp(self.bed, self.tunnel.server(), self.seconds, more)
    }

    fn throughput(&self, figures: &mut Figures) -> Result<()> {
        let before = processor_s(self.tunnel)?;
        let one = self.tcp(&[])?;
        let spent = processor_s(self.tunnel)? - before;
        figures.add(TCP_1, one.gbit_s);
        if !self.tunnel.processes().is_empty() {
            figures.add(CPU, spent / (one.bytes / 1e9));
        }
        figures.add(TCP_10, self.tcp(&["--parallel", "10"])?.gbit_s);
        figures.add(TCP_REVERSE, self.tcp(&["--reverse"])?.gbit_s);
        figures.add(TCP_BOTH, self.tcp(&["--bidir"])?.gbit_s);
        Ok(())
    }

    fn datagrams(&self, figures: &mut Figures) -> Result<()> {
        for (mbit_s, arrived, lost) in UDP {
            stop::check()?;
            let udp = iperf::udp(self.bed, self.tunnel.server(), self.seconds, mbit_s)?;
            figures.add(arrived, udp.gbit_s);
            figures.add(lost, udp.lost_percent);
        }
        Ok(())
    }

    fn latency(&self, figures: &mut Figures) -> Result<()> {
        let server = self.tunnel.server();
        let times = probe::times(self.bed, server, self.seconds)?;
        for (part, key, _) in TIMES {
            figures.add(key, times.percentile_us(part)?);
        }
        figures.add(TIMES_LOST, times.lost_percent()?);
        // The load begins before the packets, and ends after them.
        let (bed, seconds) = (self.bed, self.seconds);
        let loaded = thread::scope(|scope| {
            let load = scope.spawn(|| iperf::tcp(bed, server, seconds + 2 * LEAD_SECONDS, &[]));
            thread::sleep(Duration::from_secs(LEAD_SECONDS.into()));
            let times = probe::times(bed, server, seconds);
            let load = load.join().map_err(|_| anyhow!("the load panicked"))?;
            load.and(times)
        })?;
        figures.add(LOADED, loaded.percentile_us(0.99)?);
        Ok(())
    }
}

/// Processor time of both ends so far, in seconds.
fn processor_s(tunnel: &dyn Tunnel) -> Result<f64> {
    tunnel.processes().into_iter().map(process::processor_s).sum()
}

/// An error in one line.
fn line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
