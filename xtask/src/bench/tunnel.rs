//! The mesh, compared with other tunnels and with the same cable without a tunnel.
//!
//! Two machines on one veth pair. Both ends of a tunnel, both of iperf3 and the kernel's part of both machines share
//! the machine's processors, so a figure means something beside another of the same run.

mod alone;
mod bed;
mod coordinator;
mod effort;
mod figure;
mod flood;
mod iperf;
mod kind;
mod maru;
mod measure;
mod part;
mod path;
mod peer;
mod probe;
mod program;
mod report;
mod rounds;
mod tailscale;
mod wireguard;
mod wireguard_device;

use anyhow::Result;

use super::report::Outcome;
pub(super) use coordinator::EXAMPLE;
pub(super) use effort::Effort;
pub(super) use kind::Kind;
pub(super) use part::AgentMeasurement;

/// The programs that the bench runs.
pub(super) const PROGRAMS: [&str; 3] = ["maru", "maru-agent", "maru-coordinator"];

/// Measures every peer, and reports those that cannot be measured.
pub(super) fn run(named: &[Kind], effort: Effort) -> Result<Outcome> {
    let kinds = if effort.only.is_some() { vec![Kind::Maru] } else { Kind::chosen(named) };
    let mut peers: Vec<_> = kinds.into_iter().map(peer::Peer::prepare).collect();
    rounds::measure(&mut peers, effort)?;
    Ok(report::of(&peers, effort))
}
