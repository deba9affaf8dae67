//! One tunnel, measured between fresh machines.

use std::{thread, time::Duration};

use anyhow::{Result, anyhow};

use super::{
    bed::{TestBed, UnderlayKind},
    effort::Effort,
    figure::{
        CPU, Figures, LOADED, RESIDENT, TCP_1, TCP_10, TCP_BOTH, TCP_IPV6, TCP_RELAY, TCP_REVERSE,
        TIMES, TIMES_LOST, UDP,
    },
    iperf,
    path::{self, Tunnel},
    probe,
    program::Program,
};
use crate::{bench::process, stop};

/// How long a load runs before and after what is measured under it, in seconds.
const LEAD_SECONDS: u32 = 1;

/// Measures a fresh tunnel between fresh machines; returns the offloads that it says it has.
pub(super) fn tunnel(
    program: &Program,
    outside: UnderlayKind,
    effort: Effort,
    figures: &mut Figures,
) -> Result<Option<Vec<String>>> {
    let bed = TestBed::new(outside)?;
    let tunnel = program.open(&bed)?;
    let _server = iperf::serve(&bed)?;
    path::wait(&*tunnel, &bed)?;
    let path = Path { tunnel: &*tunnel, bed: &bed, seconds: effort.seconds };
    match outside {
        UnderlayKind::Ipv4 => path.everything(figures)?,
        UnderlayKind::Ipv6 => figures.add(TCP_IPV6, path.tcp(&[])?.gbit_s),
        UnderlayKind::Relay => figures.add(TCP_RELAY, path.tcp(&[])?.gbit_s),
    }
    tunnel.check(&bed)?;
    tunnel.offloads()
}

/// An open tunnel with its machines.
struct Path<'a> {
    tunnel: &'a dyn Tunnel,
    bed: &'a TestBed,
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
