//! What root is told and may do, on a socket of its own: rooms, their members, the removal of a room.

use std::{future::pending, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{
    endpoint::{self, Declaration, Served, serve},
    problem::ErrorResponse,
    superuser,
    unix::Socket,
};
use messages::message;
use telmeet_api::rooms::{LIST_MEMBERS, LIST_ROOMS, REMOVE_ROOM, Room, RoomMember, TOTALS, Totals};

use crate::{error::Error, homeserver::Homeserver, rooms::manage};

/// Every endpoint of this socket.
#[must_use]
pub fn endpoints() -> Vec<Declaration> {
    endpoint::list(&served())
}

fn served() -> [Served<Arc<Homeserver>>; 4] {
    [
        serve(&TOTALS, totals),
        serve(&LIST_ROOMS, list),
        serve(&LIST_MEMBERS, members),
        serve(&REMOVE_ROOM, remove),
    ]
}

/// Serves root for ever; `homeserver` is `None` without the key.
pub(crate) async fn serve_root(socket: Socket, homeserver: Option<Arc<Homeserver>>) {
    let router = match homeserver {
        Some(homeserver) => endpoint::router(served())
            .fallback(async || Failed(Error::Unrecognized))
            .with_state(homeserver),
        None => without_key(),
    };
    superuser::serve(socket, router, pending()).await;
}

fn without_key() -> Router {
    endpoint::router([]).fallback(async || {
        let title = "telmeet does not have the key under which its rooms are sealed";
        ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "rooms-key", title)
            .message(message!("problem-rooms-key"))
    })
}

/// An error, as a problem document.
#[derive(Debug)]
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let response = |kind| ErrorResponse::of(error.status(), kind, &error);
        let response = if matches!(error, Error::NotFound(_)) {
            response("not-found").message(message!("problem-no-such", thing = "room"))
        } else if matches!(error, Error::Unrecognized) {
            response("path")
        } else {
            response("store")
        };
        response.into_response()
    }
}

async fn totals(State(hs): State<Arc<Homeserver>>) -> Result<Json<Totals>, Failed> {
    Ok(Json(manage::totals(&hs).await?))
}

async fn list(State(hs): State<Arc<Homeserver>>) -> Result<Json<Vec<Room>>, Failed> {
    Ok(Json(manage::list(&hs).await?))
}

async fn members(
    State(hs): State<Arc<Homeserver>>,
    Path(room): Path<String>,
) -> Result<Json<Vec<RoomMember>>, Failed> {
    Ok(Json(manage::members(&hs, &room).await?))
}

async fn remove(
    State(hs): State<Arc<Homeserver>>,
    Path(room): Path<String>,
) -> Result<Json<Room>, Failed> {
    Ok(Json(manage::remove(&hs, &room).await?))
}

#[cfg(test)]
mod tests;
