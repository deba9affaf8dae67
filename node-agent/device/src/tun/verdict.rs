//! Whether the kernel accepts super-packets of each kind.
//!
//! A refused super-packet is written packet by packet, and its kind stays enabled: otherwise a member who can craft a refused
//! one could slow down everyone. A kind is paused only if the kernel refused several of it and never accepted one.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::vnet::Kind;

/// Refusals without an accepted unit after which a kind is paused.
const REFUSALS: u8 = 8;
/// The kernel accepted a unit of this kind.
const TAKEN: u8 = u8::MAX;

/// For each [`Kind`] how many units were refused since it was last paused, or [`TAKEN`].
#[derive(Debug, Default)]
pub(super) struct Verdicts([AtomicU8; 3]);

impl Verdicts {
    /// Records an accepted unit.
    pub(super) fn note_taken(&self, kind: Kind) {
        let verdict = &self.0[kind as usize];
        if verdict.load(Ordering::Relaxed) != TAKEN {
            verdict.store(TAKEN, Ordering::Relaxed);
        }
    }

    /// Records a refused unit. Returns whether its kind must be paused.
    pub(super) fn note_refused(&self, kind: Kind) -> bool {
        let next = |count| match count {
            TAKEN => None,
            count if count + 1 >= REFUSALS => Some(0),
            count => Some(count + 1),
        };
        let before = self.0[kind as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        before == Ok(REFUSALS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_paused_if_none_of_it_was_ever_taken() {
        let verdicts = Verdicts::default();
        let refused = |kind| (0..2 * REFUSALS).filter(|_| verdicts.note_refused(kind)).count();
        assert_eq!(refused(Kind::TcpV4), 2, "after each eighth");
        verdicts.note_taken(Kind::TcpV4);
        assert_eq!(refused(Kind::TcpV4), 0);
        assert_eq!(refused(Kind::Udp), 2, "another kind");
    }
}
