//! What is measured of our agent alone.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{
    bed::{TestBed, UnderlayKind},
    effort::Effort,
    figure::{CROWDED, FLOODED, Figures, IDLE, WITHOUT},
    flood, iperf,
    maru::{Agent, Maru, PORT},
    part::{AgentMeasurement, CROWD, SILENT},
    path::{self, Tunnel as _},
};
use crate::{bench::process, stop};

/// Long enough for what a start leaves behind to settle, in seconds.
const SETTLE: u32 = 3;

impl AgentMeasurement {
    /// All of them that an agent knows, which says of itself that it has these offloads.
    pub(super) fn all(offloads: Option<&[String]>) -> Vec<Self> {
        let mut all = vec![Self::Idle, Self::Crowd, Self::Flood];
        if let Some(offloads) = offloads {
            let known = |name: &&str| *name == "off" || offloads.iter().any(|own| own == name);
            let names = WITHOUT.iter().map(|(name, _)| *name).filter(known);
            all.extend(names.map(Self::Without));
        }
        all
    }

    /// Measures it once; `offloads` are those that the agent has otherwise.
    pub(super) fn measure(
        self,
        effort: Effort,
        offloads: &[String],
        figures: &mut Figures,
    ) -> Result<()> {
        let agent = match self {
            Self::Idle => Agent { silent: SILENT, ..Agent::default() },
            Self::Crowd => Agent { silent: CROWD, ..Agent::default() },
            Self::Flood => Agent::default(),
            Self::Without(name) => {
                Agent { offload: Some(others(offloads, name)), ..Agent::default() }
            }
        };
        let bed = TestBed::new(UnderlayKind::Ipv4)?;
        let tunnel = Maru::open_with(&bed, &agent)?;
        let _server = iperf::serve(&bed)?;
        path::wait(&tunnel, &bed)?;
        if agent.offload.is_some() {
            let own = tunnel.offloads()?;
            ensure!(own == agent.offload, "its offloads are {own:?}, not {:?}", agent.offload);
        }
        match self {
            Self::Idle => figures.add(IDLE, idle(&tunnel, effort.idle_seconds.unwrap_or(1))?),
            Self::Crowd => {
                wait(SETTLE)?;
                let resident = tunnel.processes().into_iter().map(process::resident_mib);
                let resident = resident.collect::<Result<Vec<_>>>()?;
                figures.add(CROWDED, resident.into_iter().fold(0.0, f64::max));
            }
            Self::Flood => {
                let key = tunnel.server_key()?;
                let tcp = || iperf::tcp(&bed, tunnel.server(), effort.seconds, &[]);
                figures.add(FLOODED, flood::during(&bed, &key, PORT, tcp)?.gbit_s);
            }
            Self::Without(name) => {
                let tcp = iperf::tcp(&bed, tunnel.server(), effort.seconds, &[])?;
                for (_, key) in WITHOUT.iter().filter(|(without, _)| *without == name) {
                    figures.add(key, tcp.gbit_s);
                }
            }
        }
        tunnel.check(&bed)
    }
}

impl std::fmt::Display for AgentMeasurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Idle => write!(f, "idle among {SILENT} silent peers"),
            Self::Crowd => write!(f, "with {CROWD} peers"),
            Self::Flood => f.write_str("flooded with handshakes"),
            Self::Without("off") => f.write_str("without offloads"),
            Self::Without(name) => write!(f, "without {name}"),
        }
    }
}

/// The offloads without this one, or none.
fn others(offloads: &[String], without: &str) -> Vec<String> {
    let kept = |name: &&String| without != "off" && *name != without;
    offloads.iter().filter(kept).cloned().collect()
}

/// Processor time of the busier agent while nothing happens, in per cent of a core.
fn idle(tunnel: &Maru, seconds: u32) -> Result<f64> {
    wait(SETTLE)?;
    let spent =
        || tunnel.processes().into_iter().map(process::processor_s).collect::<Result<Vec<_>>>();
    let (before, start) = (spent()?, Instant::now());
    wait(seconds)?;
    let (after, elapsed) = (spent()?, start.elapsed().as_secs_f64());
    let each = after.iter().zip(&before).map(|(after, before)| (after - before) * 100.0 / elapsed);
    Ok(each.fold(0.0, f64::max))
}

/// Waits, unless a stop is asked for.
fn wait(seconds: u32) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(seconds.into());
    stop::wait(|| Instant::now() >= until);
    stop::check()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn offloads_are_switched_off_one_by_one_where_the_agent_has_them() {
        let own = names(&["tso4", "udp_gro"]);
        let all = AgentMeasurement::all(Some(&own));
        assert_eq!(
            all[3..],
            [
                AgentMeasurement::Without("tso4"),
                AgentMeasurement::Without("udp_gro"),
                AgentMeasurement::Without("off")
            ]
        );
        assert_eq!(
            AgentMeasurement::all(None),
            [AgentMeasurement::Idle, AgentMeasurement::Crowd, AgentMeasurement::Flood]
        );
    }

    #[test]
    fn without_one_the_others_stay() {
        let own = names(&["tso4", "tso6", "udp_gro"]);
        assert_eq!(others(&own, "tso6"), names(&["tso4", "udp_gro"]));
        assert!(others(&own, "off").is_empty());
    }
}
