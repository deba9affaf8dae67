//! A peer, and what was measured of it.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    effort::Effort,
    figure::Figures,
    kind::Kind,
    measure,
    part::{AgentMeasurement, Part},
    program::Program,
};
use crate::stop;

/// A peer, and what was measured of it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) kind: Kind,
    /// Nothing, if it cannot be built.
    program: Option<Program>,
    pub(super) figures: Figures,
    /// Why a part was not measured.
    pub(super) failed: BTreeMap<Part, String>,
    /// What it says it has, once that is known.
    offloads: Option<Vec<String>>,
}

impl Peer {
    /// Builds its program; if that fails, it stays in the list and says why.
    pub(super) fn prepare(kind: Kind) -> Self {
        Self::new(kind, Program::prepare(kind))
    }

    pub(super) fn new(kind: Kind, program: Result<Program>) -> Self {
        let mut failed = BTreeMap::new();
        let program = program.map_err(|error| failed.insert(Part::Everything, line(&error))).ok();
        Self { kind, program, figures: Figures::default(), failed, offloads: None }
    }

    /// Of its program.
    pub(super) fn version(&self) -> &str {
        self.program.as_ref().map_or("", |program| &program.version)
    }

    /// What is measured of it besides, once it was measured as all are.
    pub(super) fn alone(&self, effort: Effort) -> Vec<AgentMeasurement> {
        match (self.kind, effort.only, effort.idle_seconds) {
            (Kind::Maru, Some(only), _) => vec![only],
            (Kind::Maru, None, Some(_)) => AgentMeasurement::all(self.offloads.as_deref()),
            _ => Vec::new(),
        }
    }

    /// Measures a part once more, unless that failed before; only Ctrl-C is an error.
    pub(super) fn measure(&mut self, part: Part, effort: Effort) -> Result<()> {
        let Some(program) = self.program.as_ref().filter(|_| !self.failed.contains_key(&part))
        else {
            return Ok(());
        };
        // Kept only if all of the part was measured.
        let mut figures = Figures::default();
        let measured = match part {
            Part::Everything => Ok(()),
            Part::Over(outside) => measure::tunnel(program, outside, effort, &mut figures)
                .map(|offloads| self.offloads = offloads),
            Part::AgentMeasurement(alone) => {
                let offloads = self.offloads.as_deref().unwrap_or_default();
                alone.measure(effort, offloads, &mut figures)
            }
        };
        stop::check()?;
        match measured {
            Ok(()) => self.figures.extend(figures),
            Err(error) => {
                self.failed.insert(part, line(&error));
            }
        }
        Ok(())
    }

    /// A line for each part that was not measured, with its reason.
    pub(super) fn missing(&self) -> Vec<String> {
        let line = |(part, why): (&Part, &String)| match part {
            Part::Everything => format!("{}: {why}", self.kind),
            Part::Over(_) | Part::AgentMeasurement(_) => format!("{}, {part}: {why}", self.kind),
        };
        self.failed.iter().map(line).collect()
    }
}

/// An error in one line.
fn line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{super::bed::UnderlayKind, *};

    #[test]
    fn a_peer_that_cannot_be_built_says_why_in_one_line() {
        let error = anyhow!("no\n  module").context("cannot build it");
        let mut peer = Peer::new(Kind::WireguardGo, Err(error));
        let why = ["wireguard-go: cannot build it: no module"];
        assert_eq!(peer.missing(), why);
        // There is nothing to start.
        peer.measure(Part::Over(UnderlayKind::Ipv4), Effort::SHORT).unwrap();
        assert_eq!(peer.missing(), why);
        assert_eq!(peer.figures, Figures::default());
    }

    #[test]
    fn only_our_agent_is_measured_alone_and_never_in_short() {
        let peer = |kind| Peer::new(kind, Err(anyhow!("not built")));
        assert_eq!(peer(Kind::Maru).alone(Effort::FULL).len(), 3);
        assert!(peer(Kind::Maru).alone(Effort::SHORT).is_empty());
        let only = Effort { only: Some(AgentMeasurement::Crowd), ..Effort::FULL };
        assert_eq!(peer(Kind::Maru).alone(only), [AgentMeasurement::Crowd]);
        assert!(peer(Kind::Tailscaled).alone(Effort::FULL).is_empty());
    }
}
