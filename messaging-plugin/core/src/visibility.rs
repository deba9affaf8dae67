//! Who may read which event (specification, client-server API, "Room History Visibility").

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId,
    events::room::{history_visibility::HistoryVisibility, member::MembershipState},
};

use crate::event::Event;

/// A position in the order of a room's events.
pub type Sequence = u64;

/// What decides whether one person may read a room's events: every change of the room's history visibility, and of the
/// person's membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    visibility: Vec<(Sequence, HistoryVisibility)>,
    membership: Vec<(Sequence, MembershipState)>,
    is_forgotten: bool,
}

/// Which state of a room somebody may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateAccess {
    /// The current state: of members, and of everybody if the history is readable to the world.
    Current,
    /// The state after the event with which the person left.
    Until(Sequence),
}

impl Access {
    /// Reads the changes, in any order. `is_forgotten` says that the person left the room and then forgot it, and did
    /// not come back.
    #[must_use]
    pub fn new(
        visibility: impl IntoIterator<Item = (Sequence, HistoryVisibility)>,
        membership: impl IntoIterator<Item = (Sequence, MembershipState)>,
        is_forgotten: bool,
    ) -> Self {
        let mut visibility: Vec<_> = visibility.into_iter().collect();
        let mut membership: Vec<_> = membership.into_iter().collect();
        visibility.sort_by_key(|(at, _)| *at);
        membership.sort_by_key(|(at, _)| *at);
        Self { visibility, membership, is_forgotten }
    }

    /// Whether the person may read the event at `at`.
    ///
    /// An event that changes the visibility, or the person's own membership, may be read if what holds before or after
    /// it allows that. So an invited person sees the invitation, and a removed person sees who removed them.
    #[must_use]
    pub fn may_read(&self, at: Sequence) -> bool {
        !self.is_forgotten
            && (self.allows(at, at)
                || at.checked_sub(1).is_some_and(|before| self.allows(before, at)))
    }

    /// The person's membership after the event at `at`.
    #[must_use]
    pub fn membership(&self, at: Sequence) -> MembershipState {
        latest(&self.membership, at).cloned().unwrap_or(MembershipState::Leave)
    }

    /// The next event, from `at` on, that the person may read. It need not exist yet.
    #[must_use]
    pub fn next(&self, at: Sequence) -> Option<Sequence> {
        // What may be read is the same from one change to the next.
        let changes = self.changes().flat_map(|change| [change, change.saturating_add(1)]);
        changes.chain([at]).filter(|candidate| *candidate >= at && self.may_read(*candidate)).min()
    }

    /// The last event, up to `at`, that the person may read.
    #[must_use]
    pub fn previous(&self, at: Sequence) -> Option<Sequence> {
        let changes = self.changes().flat_map(|change| [change, change.saturating_sub(1)]);
        let before = changes.chain([at]).filter(|candidate| (1..=at).contains(candidate));
        before.filter(|candidate| self.may_read(*candidate)).max()
    }

    /// How many changes decide.
    #[must_use]
    pub fn changes_count(&self) -> usize {
        self.visibility.len() + self.membership.len()
    }

    /// Where something changes, in no order.
    fn changes(&self) -> impl Iterator<Item = Sequence> {
        let visibility = self.visibility.iter().map(|(at, _)| *at);
        visibility.chain(self.membership.iter().map(|(at, _)| *at))
    }

    /// The state of the room that the person may read, if any.
    #[must_use]
    pub fn state(&self) -> Option<StateAccess> {
        if self.is_forgotten {
            return None;
        }
        let visibility = self.visibility.last().map(|(_, visibility)| visibility);
        if visibility == Some(&HistoryVisibility::WorldReadable) {
            return Some(StateAccess::Current);
        }
        let is_join = |(_, membership): &(_, _)| *membership == MembershipState::Join;
        let join = self.membership.iter().rposition(is_join)?;
        let left = self.membership.get(join + 1).map(|(at, _)| *at);
        Some(left.map_or(StateAccess::Current, StateAccess::Until))
    }

    /// Whether the visibility and membership that hold after the event at `moment` allow reading the event at `at`.
    fn allows(&self, moment: Sequence, at: Sequence) -> bool {
        // The two are equal but for an event that changes one of them.
        let is_change = self.visibility.iter().any(|(change, _)| *change == at)
            || self.membership.iter().any(|(change, _)| *change == at);
        if moment != at && !is_change {
            return false;
        }
        let membership = self.membership(moment);
        let visibility = latest(&self.visibility, moment).unwrap_or(&HistoryVisibility::Shared);
        let is = |wanted: HistoryVisibility| *visibility == wanted;
        is(HistoryVisibility::WorldReadable)
            || membership == MembershipState::Join
            || (is(HistoryVisibility::Invited) && membership == MembershipState::Invite)
            || (is(HistoryVisibility::Shared) && self.joins_after(moment))
    }

    /// Whether the person joins at a later event.
    fn joins_after(&self, moment: Sequence) -> bool {
        self.membership
            .iter()
            .any(|(at, membership)| *at > moment && *membership == MembershipState::Join)
    }
}

/// The value that holds after the event at `moment`.
fn latest<T>(changes: &[(Sequence, T)], moment: Sequence) -> Option<&T> {
    let count = changes.partition_point(|(at, _)| *at <= moment);
    count.checked_sub(1).map(|index| &changes[index].1)
}

/// Whether an event is withheld from a person who ignores its sender: messages are, state events are not, since a
/// client needs them to show the room (specification, client-server API, "Ignoring Users").
#[must_use]
pub fn is_ignored(event: &Event, ignored: &BTreeSet<OwnedUserId>) -> bool {
    !event.is_state() && ignored.contains(&event.sender)
}

#[cfg(test)]
mod tests;
