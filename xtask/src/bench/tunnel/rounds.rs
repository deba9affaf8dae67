//! The peers in turn, round after round.

use anyhow::Result;

use super::{
    effort::Effort,
    figure::{Figures, TIMES},
    part::Part,
    peer::Peer,
};
use crate::{progress::Step, stop};

/// Measures all of them; the first is the cable.
pub(super) fn measure(peers: &mut [Peer], effort: Effort) -> Result<()> {
    for round in 0..effort.rounds {
        for peer in &mut *peers {
            let measure = |peer: &mut Peer, part: Part| {
                stop::check()?;
                let what =
                    format!("round {} of {}: {}, {part}", round + 1, effort.rounds, peer.kind);
                let step = Step::new(&what);
                peer.measure(part, effort)?;
                step.done(&what);
                anyhow::Ok(())
            };
            let outsides = if effort.only.is_none() { peer.kind.outsides() } else { &[] };
            for outside in outsides {
                measure(peer, Part::Over(*outside))?;
            }
            for alone in peer.alone(effort) {
                measure(peer, Part::AgentMeasurement(alone))?;
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
