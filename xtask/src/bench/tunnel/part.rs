//! Parts of what is measured.

use std::fmt;

use clap::ValueEnum;

use super::bed::UnderlayKind;

/// Peers that never say anything, where it idles and where its memory is measured.
pub(super) const SILENT: u32 = 100;
pub(super) const CROWD: u32 = 1000;

/// One of the measurements, each on fresh machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum AgentMeasurement {
    /// Processor time of an agent with nothing to do.
    Idle,
    /// Memory of an agent with many peers.
    Crowd,
    /// TCP while strangers flood it with handshakes.
    Flood,
    /// TCP without one offload, or without any.
    #[value(skip)]
    Without(&'static str),
}

/// A part of what is measured of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// All.
    Everything,
    /// What goes over the cable in this way.
    Over(UnderlayKind),
    /// Something of our agent alone.
    AgentMeasurement(AgentMeasurement),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Over(outside) => outside.fmt(f),
            Self::AgentMeasurement(alone) => alone.fmt(f),
        }
    }
}
