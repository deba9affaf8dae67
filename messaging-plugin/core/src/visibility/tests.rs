use std::collections::BTreeSet;

use proptest::prelude::*;
use ruma::events::room::{
    history_visibility::HistoryVisibility::{self, Invited, Joined, Shared, WorldReadable},
    member::MembershipState::{self, Ban, Invite, Join, Leave},
};
use serde_json::json;

use super::{Access, StateAccess, is_ignored};
use crate::testing::{Room, user};

/// Which of the events 1 to 10 a person reads who is invited by 3, joins by 5, and leaves by 8.
fn readable(visibility: HistoryVisibility) -> Vec<u64> {
    let access = Access::new([(1, visibility)], [(3, Invite), (5, Join), (8, Leave)], false);
    (1..=10).filter(|&at| access.may_read(at)).collect()
}

#[test]
fn the_visibility_decides_from_when_on() {
    assert_eq!(readable(WorldReadable), (1..=10).collect::<Vec<_>>());
    assert_eq!(readable(Shared), (1..=8).collect::<Vec<_>>());
    // Before the first rule the history is shared.
    assert_eq!(readable(Invited), [1, 3, 4, 5, 6, 7, 8]);
    assert_eq!(readable(Joined), [1, 5, 6, 7, 8]);
}

#[test]
fn a_membership_holds_from_its_event_on() {
    let access = Access::new([], [(8, Leave), (3, Invite), (5, Join)], false);
    let memberships: Vec<_> = [1, 3, 4, 5, 7, 8, 9].map(|at| access.membership(at)).into();
    assert_eq!(memberships, [Leave, Invite, Invite, Join, Join, Leave, Leave]);
}

#[test]
fn only_ones_own_events_count_on_both_sides() {
    let access = Access::new([(1, Joined)], [(5, Join), (8, Ban)], false);
    assert!(access.may_read(8), "who was banned sees by whom");
    assert!(!access.may_read(9) && !access.may_read(4));
}

#[test]
fn a_stranger_reads_nothing_and_an_invited_person_not_what_was_shared() {
    for visibility in [Shared, Invited, Joined] {
        let stranger = Access::new([(1, visibility.clone())], [], false);
        assert!(!(0..20).any(|at| stranger.may_read(at)), "{visibility:?}");
    }
    let invited = Access::new([(1, Shared)], [(3, Invite)], false);
    assert!(!(0..20).any(|at| invited.may_read(at)));
}

#[test]
fn what_was_said_while_away_stays_hidden_unless_it_was_shared() {
    let twice = [(2, Join), (4, Leave), (8, Join)];
    let reads = |visibility| {
        let access = Access::new([(1, visibility)], twice.clone(), false);
        (1..=10).filter(|&at| access.may_read(at)).collect::<Vec<_>>()
    };
    assert_eq!(reads(Joined), [1, 2, 3, 4, 8, 9, 10]);
    assert_eq!(reads(Shared), (1..=10).collect::<Vec<_>>());
}

#[test]
fn the_state_is_the_current_one_for_members_and_the_last_seen_one_for_who_left() {
    let state = |visibility, membership: &[(u64, MembershipState)], is_forgotten| {
        Access::new([(1, visibility)], membership.iter().cloned(), is_forgotten).state()
    };
    let left = [(2, Join), (4, Leave), (6, Invite), (7, Leave)];
    assert_eq!(state(Shared, &[(2, Join)], false), Some(StateAccess::Current));
    assert_eq!(state(Shared, &left, false), Some(StateAccess::Until(4)));
    assert_eq!(state(WorldReadable, &[], false), Some(StateAccess::Current));
    assert_eq!(state(Shared, &[(2, Invite), (3, Leave)], false), None);
    assert_eq!(state(WorldReadable, &left, true), None);
}

#[test]
fn a_change_of_visibility_holds_for_later_events() {
    let access = Access::new([(1, Shared), (5, Joined), (7, Shared)], [(9, Join)], false);
    let reads: Vec<u64> = (1..=10).filter(|&at| access.may_read(at)).collect();
    assert_eq!(reads, [1, 2, 3, 4, 5, 7, 8, 9, 10]);
}

#[test]
fn a_forgotten_room_is_closed() {
    let access = Access::new([(1, WorldReadable)], [(2, Join), (4, Leave)], true);
    assert!(!(0..20).any(|at| access.may_read(at)));
}

#[test]
fn messages_of_ignored_people_are_withheld() {
    let mut room = Room::new("public").with(&["min"]);
    let message = room.message("min", "m.room.message", json!({})).unwrap();
    let state = room.member("min", "min", "leave").unwrap();
    let ignored = BTreeSet::from([user("min")]);
    assert!(is_ignored(&message, &ignored) && !is_ignored(&state, &ignored));
    assert!(!is_ignored(&message, &BTreeSet::new()));
}

fn visibility() -> impl Strategy<Value = HistoryVisibility> {
    prop_oneof![Just(Shared), Just(Invited), Just(Joined)]
}

fn membership() -> impl Strategy<Value = MembershipState> {
    prop_oneof![Just(Join), Just(Invite), Just(Leave), Just(Ban)]
}

proptest! {
    /// Stricter visibilities never show more, and nobody reads beyond the last event of the time as a member.
    #[test]
    fn strict_is_part_of_less_strict(changes in prop::collection::btree_map(2..30_u64, membership(), 0..6)) {
        let access = |visibility: HistoryVisibility| Access::new([(1, visibility)], changes.clone(), false);
        let [joined, invited, shared] = [Joined, Invited, Shared].map(access);
        for at in 0..40 {
            prop_assert!(!joined.may_read(at) || invited.may_read(at));
            prop_assert!(!joined.may_read(at) || shared.may_read(at));
        }
        let ends = changes.last_key_value().filter(|(_, last)| matches!(last, Leave | Ban));
        if let Some((&end, _)) = ends {
            prop_assert!(!(end + 1..50).any(|at| shared.may_read(at) || invited.may_read(at)));
        }
    }

    /// An event between two changes is readable exactly as the one before it.
    #[test]
    fn only_changes_change_something(
        rooms in prop::collection::btree_map(1..30_u64, visibility(), 1..5),
        changes in prop::collection::btree_map(1..30_u64, membership(), 0..5),
    ) {
        let access = Access::new(rooms.clone(), changes.clone(), false);
        for at in 2..40_u64 {
            let is_quiet = |at: u64| !rooms.contains_key(&at) && !changes.contains_key(&at);
            if is_quiet(at) && is_quiet(at - 1) {
                prop_assert_eq!(access.may_read(at), access.may_read(at - 1));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_skipped(
        rooms in prop::collection::btree_map(1..30_u64, visibility(), 0..4),
        changes in prop::collection::btree_map(1..30_u64, membership(), 0..6),
        from in 1..35_u64,
    ) {
        let access = Access::new(rooms, changes, false);
        prop_assert_eq!(access.next(from), (from..40).find(|at| access.may_read(*at)));
        prop_assert_eq!(access.previous(from), (1..=from).rev().find(|at| access.may_read(*at)));
    }
}
