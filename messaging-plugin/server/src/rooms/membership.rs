//! Endpoints of memberships (specification, client-server API, "Room membership").

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId, RoomId, UserId,
    api::{
        client::{
            knock::knock_room,
            membership::{
                ban_user, forget_room,
                invite_user::{self, v3::InvitationRecipient},
                join_room_by_id, join_room_by_id_or_alias, kick_user, leave_room, unban_user,
            },
        },
        error::ErrorKind,
    },
    events::room::member::MembershipState,
};
use telmeet_core::create::Profile;

use super::{
    aliases,
    member::{self, Change},
    view::{hidden, is_joined},
};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Route, Ruma, route},
    personal::profile,
    session::Session,
};

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<join_room_by_id::v3::Request, _, _>(join_by_id),
        route::<join_room_by_id_or_alias::v3::Request, _, _>(join),
        route::<knock_room::v3::Request, _, _>(knock),
        route::<leave_room::v3::Request, _, _>(leave),
        route::<forget_room::v3::Request, _, _>(forget),
        route::<invite_user::v3::Request, _, _>(invite),
        route::<kick_user::v3::Request, _, _>(kick),
        route::<ban_user::v3::Request, _, _>(ban),
        route::<unban_user::v3::Request, _, _>(unban),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn join_by_id(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<join_room_by_id::v3::Request>,
) -> Result<Reply<join_room_by_id::v3::Response>, Error> {
    enter(&hs, session.user, request.room_id.clone(), request.reason).await?;
    Ok(Reply(join_room_by_id::v3::Response::new(request.room_id)))
}

async fn join(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<join_room_by_id_or_alias::v3::Request>,
) -> Result<Reply<join_room_by_id_or_alias::v3::Response>, Error> {
    let room = find(&hs, request.room_id_or_alias).await?;
    enter(&hs, session.user, room.clone(), request.reason).await?;
    Ok(Reply(join_room_by_id_or_alias::v3::Response::new(room)))
}

async fn enter(
    hs: &Homeserver,
    user: OwnedUserId,
    room: OwnedRoomId,
    reason: Option<String>,
) -> Result<(), Error> {
    let who = user.clone();
    hs.write(move |tx| async move { member::join(tx, room, user, reason).await }.boxed()).await?;
    hs.presence.show_again(&who);
    Ok(())
}

async fn knock(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<knock_room::v3::Request>,
) -> Result<Reply<knock_room::v3::Response>, Error> {
    let (room, user) = (find(&hs, request.room_id_or_alias).await?, session.user);
    let (room_id, reason) = (room.clone(), request.reason);
    hs.write(move |tx| {
        async move {
            let shown = profile::read(tx.connection(), &user).await?.unwrap_or_default();
            let content = member::content("knock", &shown, reason);
            member::set(tx, Change { room_id, sender: user.clone(), target: user, content }).await
        }
        .boxed()
    })
    .await?;
    Ok(Reply(knock_room::v3::Response::new(room)))
}

async fn leave(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<leave_room::v3::Request>,
) -> Result<Reply<leave_room::v3::Response>, Error> {
    let (room, user, reason) = (request.room_id.clone(), session.user.clone(), request.reason);
    hs.write(move |tx| async move { member::leave(tx, room, user, reason).await }.boxed()).await?;
    stop_typing(&hs, &request.room_id, &session.user);
    Ok(Reply(leave_room::v3::Response::new()))
}

/// Records that somebody types no more.
fn stop_typing(hs: &Homeserver, room: &RoomId, user: &UserId) {
    hs.typing.lock().unwrap_or_else(PoisonError::into_inner).stop(room, user);
}

async fn forget(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<forget_room::v3::Request>,
) -> Result<Reply<forget_room::v3::Response>, Error> {
    let (room, user) = (request.room_id, session.user);
    hs.write(move |tx| async move { hide(tx, &room, &user).await }.boxed()).await?;
    Ok(Reply(forget_room::v3::Response::new()))
}

/// Hides a room that the person left.
async fn hide(tx: &mut Transaction, room_id: &RoomId, user: &UserId) -> Result<(), Error> {
    let room = tx.room(room_id).await?.filter(|room| member::is_recorded(room, user));
    let membership = room.ok_or_else(hidden)?.state.membership(user);
    if ![MembershipState::Leave, MembershipState::Ban].contains(&membership) {
        return Err(Error::bad_request(ErrorKind::Unknown, "leave the room before you forget it"));
    }
    let query = "UPDATE memberships SET is_forgotten = 1 WHERE user_id = $1 AND room_id = $2";
    let query = sqlx::query(query).bind(user.as_str()).bind(room_id.as_str());
    query.execute(tx.connection()).await?;
    tx.touch(user);
    Ok(())
}

async fn invite(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<invite_user::v3::Request>,
) -> Result<Reply<invite_user::v3::Response>, Error> {
    let InvitationRecipient::UserId(recipient) = request.recipient else {
        return Err(Error::invalid("invitations by mail or phone number are not supported"));
    };
    let change = Command { membership: "invite", reason: recipient.reason, needed: None };
    change.run(&hs, session, request.room_id, recipient.user_id).await?;
    Ok(Reply(invite_user::v3::Response::new()))
}

async fn kick(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<kick_user::v3::Request>,
) -> Result<Reply<kick_user::v3::Response>, Error> {
    let present = &[MembershipState::Join, MembershipState::Invite, MembershipState::Knock];
    let change = Command { membership: "leave", reason: request.reason, needed: Some(present) };
    change.run(&hs, session, request.room_id.clone(), request.user_id.clone()).await?;
    stop_typing(&hs, &request.room_id, &request.user_id);
    Ok(Reply(kick_user::v3::Response::new()))
}

async fn ban(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<ban_user::v3::Request>,
) -> Result<Reply<ban_user::v3::Response>, Error> {
    let change = Command { membership: "ban", reason: request.reason, needed: None };
    change.run(&hs, session, request.room_id.clone(), request.user_id.clone()).await?;
    stop_typing(&hs, &request.room_id, &request.user_id);
    Ok(Reply(ban_user::v3::Response::new()))
}

async fn unban(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<unban_user::v3::Request>,
) -> Result<Reply<unban_user::v3::Response>, Error> {
    let banned = &[MembershipState::Ban];
    let change = Command { membership: "leave", reason: request.reason, needed: Some(banned) };
    change.run(&hs, session, request.room_id, request.user_id).await?;
    Ok(Reply(unban_user::v3::Response::new()))
}

/// A membership that a member gives to somebody else.
struct Command {
    membership: &'static str,
    reason: Option<String>,
    /// The memberships of which the other person must have one.
    needed: Option<&'static [MembershipState]>,
}

impl Command {
    async fn run(
        self,
        hs: &Homeserver,
        session: Session,
        room_id: OwnedRoomId,
        target: OwnedUserId,
    ) -> Result<(), Error> {
        hs.write(move |tx| {
            async move {
                let room = tx.room(&room_id).await?.ok_or_else(hidden)?;
                if !is_joined(&room, &session.user) {
                    return Err(hidden());
                }
                let current = room.state.membership(&target);
                if self.needed.is_some_and(|needed| !needed.contains(&current)) {
                    return Err(Error::forbidden("this person's membership is another one"));
                }
                let content = member::content(self.membership, &Profile::default(), self.reason);
                member::set(tx, Change { room_id, sender: session.user, target, content }).await
            }
            .boxed()
        })
        .await
        .map(drop)
    }
}

/// The room of an id or alias. Whether there is a room with that id is not checked.
///
/// # Errors
///
/// [`Error::NotFound`] for an alias that no room has.
pub(super) async fn find(hs: &Homeserver, room: OwnedRoomOrAliasId) -> Result<OwnedRoomId, Error> {
    match OwnedRoomId::try_from(room) {
        Ok(room) => Ok(room),
        Err(alias) => aliases::find(hs, &alias).await,
    }
}
