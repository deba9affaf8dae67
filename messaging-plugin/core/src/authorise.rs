//! Whether an event may be sent: the authorization rules of room version 11, over the room's current state.

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, EventId, OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::{history_visibility::HistoryVisibility, member::MembershipState},
    },
    room::{AllowRule, JoinRule, Restricted},
    state_res::{
        auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
    },
};

use crate::{
    Error,
    event::{Event, RULES},
    state::RoomState,
};

/// Checks an event against the current state of its room (specification, room version 11, "Authorization rules").
///
/// Whether a redaction may have its effect is not part of these rules: see [`check_redaction`].
///
/// # Errors
///
/// [`Error::Forbidden`] with what is missing. Nothing changed.
pub fn check(event: &Event, state: &RoomState) -> Result<(), Error> {
    let rules = &RULES.authorization;
    let key = event.state_key.as_deref();
    let authorising: Vec<&Arc<Event>> =
        auth_types_for_event(&event.kind, &event.sender, key, &event.content, rules)
            .map_err(Error::Forbidden)?
            .iter()
            .filter_map(|(kind, key)| state.get(kind, key))
            .collect();
    let by_id = |id: &EventId| authorising.iter().find(|event| event.event_id == id).copied();
    check_state_independent_auth_rules(rules, event, by_id).map_err(Error::Forbidden)?;
    check_state_dependent_auth_rules(rules, event, |kind, key| state.get(kind, key))
        .map_err(Error::Forbidden)
}

/// Checks whether `sender` may redact an event of `author`: one's own, or with the room's power level for redactions.
/// The redaction event itself is checked by [`check`].
///
/// # Errors
///
/// [`Error::Forbidden`] if it is somebody else's event and the power level is too low.
pub fn check_redaction(sender: &UserId, author: &UserId, state: &RoomState) -> Result<(), Error> {
    if sender == author || state.power_levels().user_can_redact_event_of_other(sender) {
        return Ok(());
    }
    Err(Error::Forbidden("sender does not have enough power to redact events of others".to_owned()))
}

/// Removes from a member event's content what only servers may write: who authorised a join, which no signature proves
/// here, and invitations by third-party ids, which are not offered.
pub fn remove_server_fields(kind: &TimelineEventType, content: &mut CanonicalJsonObject) {
    if *kind == TimelineEventType::RoomMember {
        content.remove("join_authorised_via_users_server");
        content.remove("third_party_invite");
    }
}

/// Who authorises a join to a room that members of other rooms may join (`restricted`, `knock_restricted`): a joined
/// member with the power to invite, for `join_authorised_via_users_server`.
///
/// `is_joined` says whether the person who joins is in another room. `None` if the join rule is another one, the person
/// is in none of the named rooms, or no member has the power.
pub fn restricted_join(
    state: &RoomState,
    is_joined: impl Fn(&RoomId) -> bool,
) -> Option<OwnedUserId> {
    let (JoinRule::Restricted(rule) | JoinRule::KnockRestricted(rule)) = state.join_rule() else {
        return None;
    };
    if !names_joined(&rule, is_joined) {
        return None;
    }
    let levels = state.power_levels();
    let joined = state.members().filter(|(_, membership)| *membership == MembershipState::Join);
    joined.map(|(user, _)| user).find(|user| levels.user_can_invite(user))
}

/// Whether a rule names a room that the person is in.
fn names_joined(rule: &Restricted, is_joined: impl Fn(&RoomId) -> bool) -> bool {
    let names = |allow: &AllowRule| matches!(allow, AllowRule::RoomMembership(room) if is_joined(&room.room_id));
    rule.allow.iter().any(names)
}

/// Whether a person may see what a room is called and how many are in it (specification, client-server API, "Room
/// summary"): who is or may become a member, who may ask to, and everybody if the history is readable to the world.
///
/// `is_joined` says whether the person is in another room.
pub fn may_preview(state: &RoomState, user: &UserId, is_joined: impl Fn(&RoomId) -> bool) -> bool {
    let known = [MembershipState::Join, MembershipState::Invite, MembershipState::Knock];
    let membership = state.membership(user);
    if known.contains(&membership) {
        return true;
    }
    if membership == MembershipState::Ban {
        return false;
    }
    let rule = state.join_rule();
    let is_open = matches!(rule, JoinRule::Public | JoinRule::Knock | JoinRule::KnockRestricted(_))
        || matches!(rule, JoinRule::Restricted(rule) if names_joined(&rule, is_joined));
    is_open || state.history_visibility() == HistoryVisibility::WorldReadable
}

/// Whether an event is part of what a person sees of a room before joining it (stripped state; specification,
/// client-server API, "Stripped state").
#[must_use]
pub fn is_stripped_state(kind: &StateEventType) -> bool {
    matches!(
        kind,
        StateEventType::RoomAvatar
            | StateEventType::RoomCanonicalAlias
            | StateEventType::RoomCreate
            | StateEventType::RoomEncryption
            | StateEventType::RoomJoinRules
            | StateEventType::RoomName
            | StateEventType::RoomTopic
    )
}

#[cfg(test)]
mod tests;
