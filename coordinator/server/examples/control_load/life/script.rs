//! What happens next.

use crate::numbers::Numbers;

/// Something that happens to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A node tells another endpoint over the channel that it has.
    Move,
    /// A node changes its network: it connects anew and tells another endpoint.
    Reconnect,
    /// A node logs out, and registers another node key.
    Renew,
    /// The admin expires the key of a node, which registers another.
    Expire,
    /// The admin removes a node, and its machine joins anew.
    Remove,
    /// A node leaves for good, or a new machine joins.
    Exchange,
    /// The admin replaces the policy.
    Policy,
}

/// How many of all steps are of each kind. Most nodes of a household move and do nothing else.
const SHARES: [(Step, usize); 7] = [
    (Step::Move, 66),
    (Step::Reconnect, 18),
    (Step::Renew, 2),
    (Step::Expire, 3),
    (Step::Remove, 2),
    (Step::Exchange, 6),
    (Step::Policy, 3),
];

impl Step {
    pub(super) fn draw(numbers: &mut Numbers) -> Self {
        let mut drawn = numbers.below(SHARES.iter().map(|(_, share)| share).sum());
        for (step, share) in SHARES {
            if drawn < share {
                return step;
            }
            drawn -= share;
        }
        Self::Move
    }

    pub(super) fn needs_admin(self) -> bool {
        matches!(self, Self::Expire | Self::Remove | Self::Exchange | Self::Policy)
    }
}
