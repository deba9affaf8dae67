//! The mesh beside other tunnels, and beside the same cable without one.
//!
//! Two machines on one veth pair. Both ends of a tunnel, both of iperf3 and the kernel's part of both machines share
//! the machine's processors, so a figure means something beside another of the same run.

mod alone;
mod bed;
mod coordinator;
mod figure;
mod flood;
mod iperf;
mod kind;
mod maru;
mod path;
mod peer;
mod probe;
mod program;
mod report;
mod rounds;
mod tailscale;
mod wireguard;

use anyhow::Result;

use super::Outcome;
pub(super) use alone::Alone;
pub(super) use kind::Kind;

/// The programs that the bench runs.
pub(super) const PROGRAMS: [&str; 3] = ["maru", "maru-agent", "maru-coordinator"];

/// The example of the coordinator that makes silent peers.
pub(super) const EXAMPLE: &str = "crowd";

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Every peer is measured so many times.
    pub(super) rounds: u32,
    /// Length of each run, in seconds.
    pub(super) seconds: u32,
    /// How long what idles is watched, in seconds; none: nothing is measured of our agent alone.
    pub(super) idle_seconds: Option<u32>,
    /// Of our agent alone this, and nothing else.
    pub(super) only: Option<Alone>,
}

impl Effort {
    /// As much as figures need that are to be compared.
    pub(super) const FULL: Self =
        Self { rounds: 3, seconds: 5, idle_seconds: Some(60), only: None };
    /// As little as shows that the bench works.
    pub(super) const SHORT: Self = Self { rounds: 1, seconds: 1, idle_seconds: None, only: None };
}

/// Measures every peer; one that cannot be is told of.
pub(super) fn run(named: &[Kind], effort: Effort) -> Result<Outcome> {
    let kinds = if effort.only.is_some() { vec![Kind::Maru] } else { Kind::chosen(named) };
    let mut peers: Vec<_> = kinds.into_iter().map(peer::Peer::prepare).collect();
    rounds::measure(&mut peers, effort)?;
    Ok(report::of(&peers, effort))
}
