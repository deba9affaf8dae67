//! Memberships, inside of a write transaction.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId,
    UserId,
    events::{TimelineEventType, room::member::MembershipState},
};
use sqlx::{AnyConnection, Row as _};
use telmeet_core::{
    authorise,
    create::{Profile, member_content},
    event::Draft,
    person,
};

use super::view::hidden;
use crate::{
    error::Error,
    homeserver::{Room, Transaction},
    personal::profile,
};

/// Most rooms that a person is in, is invited to, or knocks at.
pub(super) const ROOMS_MAX: i64 = 10_000;

/// Most invitations that wait for one person's answer, and those of them that one member sent.
pub(super) const INVITATIONS_MAX: i64 = 500;
/// See [`INVITATIONS_MAX`].
pub(super) const INVITATIONS_OF_MEMBER_MAX: i64 = 50;
/// Longest content of a member event, in bytes. It has a reason of any text, and whoever is invited is shown it.
const CONTENT_MAX: usize = 4 << 10;

/// A new membership.
#[derive(Debug)]
pub(super) struct Change {
    /// The room.
    pub(super) room_id: OwnedRoomId,
    /// Who sends it.
    pub(super) sender: OwnedUserId,
    /// Whose membership it is.
    pub(super) target: OwnedUserId,
    /// The content of the member event.
    pub(super) content: CanonicalJsonObject,
}

/// Sends a member event. What only the server may say in it is replaced.
///
/// # Errors
///
/// [`Error::Core`] if the person who is invited is none of the network's, somebody would be in too many rooms, or the
/// room's rules forbid it. A room of which the sender sees nothing is refused as one that does not exist.
pub(super) async fn set(tx: &mut Transaction, change: Change) -> Result<OwnedEventId, Error> {
    let Change { room_id, sender, target, mut content } = change;
    let room = tx.room(&room_id).await?.ok_or_else(hidden)?;
    let (kind, before) = (TimelineEventType::RoomMember, room.state.membership(&sender));
    authorise::remove_server_fields(&kind, &mut content);
    let membership = content.get("membership").and_then(CanonicalJsonValue::as_str);
    let membership = membership.map(MembershipState::from);
    let is_own = target == sender && membership != Some(MembershipState::Invite);
    if !is_own && before != MembershipState::Join {
        return Err(hidden());
    }
    if membership == Some(MembershipState::Invite) {
        let shown = profile::read(tx.connection(), &target).await?;
        let shown = shown.ok_or_else(|| not_a_person(&target))?;
        if room.state.membership(&target) != MembershipState::Invite {
            check_room_count(tx.connection(), &target, 1).await?;
            check_invitations(tx.connection(), &sender, &target).await?;
        }
        content.remove("displayname");
        content.remove("avatar_url");
        content.extend(member_content("invite", &shown));
    } else {
        clean_name(&mut content);
    }
    let is_joining = membership == Some(MembershipState::Join) && before != MembershipState::Join;
    if is_joining && before != MembershipState::Invite {
        authorise_join(tx, &room, &target, &mut content).await?;
    }
    let is_long = serde_json::to_string(&content).map_or(0, |it| it.len()) > CONTENT_MAX;
    let (state_key, time) = (Some(target.to_string()), tx.now());
    let draft = Draft { room_id, sender, kind, state_key, content, time };
    let event = if is_long {
        Err(telmeet_core::Error::TooLarge { what: "a member event", max: "4 KiB" }.into())
    } else {
        tx.append(draft, None).await
    };
    let sees = [MembershipState::Join, MembershipState::Invite, MembershipState::Knock];
    if matches!(event, Err(Error::Core(_))) && !sees.contains(&before) {
        return Err(hidden());
    }
    let event_id = event?.event_id.clone();
    if is_joining {
        // Only now: whoever may not enter is not told that there is a room.
        check_room_count(tx.connection(), &target, 0).await?;
    }
    Ok(event_id)
}

/// Makes a person a member, by the person's own will. Nothing happens if the person is one.
///
/// # Errors
///
/// As [`set`].
pub(super) async fn join(
    tx: &mut Transaction,
    room_id: OwnedRoomId,
    user: OwnedUserId,
    reason: Option<String>,
) -> Result<(), Error> {
    let room = tx.room(&room_id).await?.ok_or_else(hidden)?;
    if room.state.membership(&user) == MembershipState::Join {
        return Ok(());
    }
    let shown = profile::read(tx.connection(), &user).await?.unwrap_or_default();
    let content = content("join", &shown, reason);
    set(tx, Change { room_id, sender: user.clone(), target: user, content }).await.map(drop)
}

/// Ends a person's membership, invitation or knock, by the person's own will. Nothing happens if the person left before.
///
/// # Errors
///
/// [`Error::Core`] if the person was never there or is banned.
pub(super) async fn leave(
    tx: &mut Transaction,
    room_id: OwnedRoomId,
    user: OwnedUserId,
    reason: Option<String>,
) -> Result<(), Error> {
    let room = tx.room(&room_id).await?.ok_or_else(hidden)?;
    let membership = room.state.membership(&user);
    if membership == MembershipState::Leave && is_recorded(&room, &user) {
        return Ok(());
    }
    if [MembershipState::Leave, MembershipState::Ban].contains(&membership) {
        return Err(hidden());
    }
    let content = content("leave", &Profile::default(), reason);
    set(tx, Change { room_id, sender: user.clone(), target: user, content }).await.map(drop)
}

/// Ends all memberships, invitations and knocks of a person who was removed from the network.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn leave_all(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    let query = "SELECT room_id FROM memberships WHERE user_id = $1 AND membership IN ('join', 'invite', 'knock')";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str());
    let rooms = query.fetch_all(tx.connection()).await?;
    for room_id in rooms.iter().filter_map(|room| RoomId::parse(room).ok()) {
        match leave(tx, room_id, user.to_owned(), None).await {
            Ok(()) => {}
            // One room must not keep the person in the others.
            Err(error @ Error::Core(_)) => {
                tracing::error!(%error, "a removed person stays in a room");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The content of a member event with a reason.
pub(super) fn content(
    membership: &str,
    shown: &Profile,
    reason: Option<String>,
) -> CanonicalJsonObject {
    let mut content = member_content(membership, shown);
    if let Some(reason) = reason {
        content.insert("reason".to_owned(), reason.into());
    }
    content
}

/// Whether the room's state has a member event of this person.
pub(super) fn is_recorded(room: &Room, user: &UserId) -> bool {
    room.state.get(&ruma::events::StateEventType::RoomMember, user.as_str()).is_some()
}

/// The rooms that a person is in.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn joined_rooms(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<BTreeSet<OwnedRoomId>, Error> {
    let query = "SELECT room_id FROM memberships WHERE user_id = $1 AND membership = 'join'";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str());
    let rooms = query.fetch_all(connection).await?;
    Ok(rooms.iter().filter_map(|room| RoomId::parse(room).ok()).collect())
}

/// Refuses that a person is in more than [`ROOMS_MAX`] rooms, with so many `more`.
///
/// # Errors
///
/// [`Error::Core`].
pub(super) async fn check_room_count(
    connection: &mut AnyConnection,
    user: &UserId,
    more: i64,
) -> Result<(), Error> {
    let query = "SELECT COUNT(*) FROM memberships WHERE user_id = $1 AND membership IN ('join', 'invite', 'knock')";
    let query = sqlx::query_scalar::<_, i64>(query).bind(user.as_str());
    if query.fetch_one(connection).await? + more <= ROOMS_MAX {
        return Ok(());
    }
    Err(Error::forbidden("a person is in at most 10,000 rooms"))
}

/// Refuses that more invitations wait for one person's answer than [`INVITATIONS_MAX`], or than
/// [`INVITATIONS_OF_MEMBER_MAX`] of one member: each is shown by every app of the person.
///
/// # Errors
///
/// [`Error::Core`].
pub(super) async fn check_invitations(
    connection: &mut AnyConnection,
    inviter: &UserId,
    user: &UserId,
) -> Result<(), Error> {
    let query = "SELECT COUNT(*) AS pending, COUNT(CASE WHEN e.sender = $2 THEN 1 END) AS own FROM memberships m \
         JOIN events e ON e.position = m.position WHERE m.user_id = $1 AND m.membership = 'invite'";
    let query = sqlx::query(query).bind(user.as_str()).bind(inviter.as_str());
    let row = query.fetch_one(connection).await?;
    let (pending, own): (i64, i64) = (row.try_get("pending")?, row.try_get("own")?);
    if own >= INVITATIONS_OF_MEMBER_MAX {
        return Err(Error::forbidden(
            "50 of your invitations wait for this person's answer already",
        ));
    }
    if pending >= INVITATIONS_MAX {
        return Err(Error::forbidden("500 invitations wait for this person's answer already"));
    }
    Ok(())
}

/// Names the member who lets a person in who is in one of the rooms whose members may enter.
async fn authorise_join(
    tx: &mut Transaction,
    room: &Arc<Room>,
    user: &UserId,
    content: &mut CanonicalJsonObject,
) -> Result<(), Error> {
    let rooms = joined_rooms(tx.connection(), user).await?;
    if let Some(member) = authorise::restricted_join(&room.state, |room| rooms.contains(room)) {
        content.insert("join_authorised_via_users_server".to_owned(), member.as_str().into());
    }
    Ok(())
}

/// A name in a member event shows no more than a name in a profile may.
fn clean_name(content: &mut CanonicalJsonObject) {
    let Some(name) = content.remove("displayname") else { return };
    if let Some(name) = name.as_str().and_then(person::display_name) {
        content.insert("displayname".to_owned(), name.into());
    }
}

fn not_a_person(user: &UserId) -> Error {
    Error::invalid(format!("{user} is not a person of this network"))
}
