//! What a room is called and who is in it, for who is not in it yet (specification, client-server API, "Room summary").

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use ruma::{
    OwnedRoomId, RoomId, RoomVersionId, UInt, UserId, api::client::room::get_summary,
    events::room::history_visibility::HistoryVisibility, room::RoomSummary,
};
use telmeet_core::{authorise, state::RoomState};

use super::{member, membership};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    route::<get_summary::v1::Request, _, _>(summary)
}

/// What a room's state says about it.
pub(super) fn of(id: &RoomId, state: &RoomState) -> RoomSummary {
    let members = UInt::try_from(state.joined_count()).unwrap_or(UInt::MAX);
    let is_readable = state.history_visibility() == HistoryVisibility::WorldReadable;
    let mut summary =
        RoomSummary::new(id.to_owned(), state.join_rule().into(), false, members, is_readable);
    summary.canonical_alias = state.canonical_alias();
    summary.name = state.name();
    summary.topic = state.topic();
    summary.avatar_url = state.avatar().map(Into::into);
    summary.room_type = state.room_type();
    summary.encryption = state.encryption();
    summary.room_version = Some(RoomVersionId::V11);
    summary
}

/// The rooms that a person is in, to tell which others it may see.
pub(super) struct Previewer<'a> {
    user: &'a UserId,
    rooms: BTreeSet<OwnedRoomId>,
}

impl<'a> Previewer<'a> {
    /// Reads the person's rooms.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub(super) async fn read(hs: &Homeserver, user: &'a UserId) -> Result<Self, Error> {
        let rooms = member::joined_rooms(&mut *hs.pool().acquire().await?, user).await?;
        Ok(Self { user, rooms })
    }

    /// Whether the person may see a room's summary.
    pub(super) fn may_preview(&self, state: &RoomState) -> bool {
        authorise::may_preview(state, self.user, |room| self.rooms.contains(room))
    }
}

async fn summary(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_summary::v1::Request>,
) -> Result<Reply<get_summary::v1::Response>, Error> {
    let id = membership::find(&hs, request.room_id_or_alias).await?;
    let previewer = Previewer::read(&hs, &session.user).await?;
    let room = hs.room(&id).await?.filter(|room| previewer.may_preview(&room.state));
    let room = room.ok_or(Error::NotFound("there is no such room, or you may not see it"))?;
    let mut response = get_summary::v1::Response::new(of(&id, &room.state));
    response.membership = Some(room.state.membership(&session.user));
    Ok(Reply(response))
}
