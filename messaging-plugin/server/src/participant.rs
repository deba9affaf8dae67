//! The AI's participant: a client of the homeserver on a socket of its own.
//!
//! On that socket the caller is the AI, `@maru:<network>`, because the kernel says that it is the participant's process
//! (`SO_PEERCRED`). No connection from the mesh can be: the AI's number is refused there. Its access token works on this
//! socket only. It is a person like others otherwise, with no more rights in a room than its members give it; but it does not
//! enter the room that everybody is in, since it reads only where it was invited.

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
};
use chassis::{accept::Connections, http::Http, unix::Socket};
use mesh_identity::{Header, Identity, User, VERSION};
use telmeet_core::person;

/// The number of the AI, which no user of the coordinator has: it counts them from 1.
pub(crate) const NUMBER: u64 = i64::MAX as u64;
/// The id of the node to which its tokens are bound. Ids of nodes are numbers.
const NODE: &str = "participant";
/// The kind of login that works on its socket, without a password.
pub(crate) const LOGIN: &str = "maru.login.participant";

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Timeout of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Timeout of a request and its response, the longest wait of a sync among them.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// Marks requests of the participant, in their extensions.
#[derive(Clone, Copy, Debug)]
struct OwnLink;

/// Whether this is the AI.
pub(crate) fn is(person: &User) -> bool {
    person.id == NUMBER
}

/// Whether a request came by the AI's socket.
pub(crate) fn came_by_its_link(request: &Request) -> bool {
    request.extensions().get::<OwnLink>().is_some()
}

/// Serves the participant, whose uid this is.
pub(crate) async fn serve(socket: Socket, uid: u32, api: Router) {
    let api = api.layer(middleware::from_fn(async |mut request: Request, next: Next| {
        request.extensions_mut().insert(OwnLink);
        request.extensions_mut().insert(header());
        next.run(request).await
    }));
    let connect = |stream, caller, stopping| {
        if caller != uid {
            tracing::warn!(uid = caller, "only the participant may use this socket: refused");
            return None;
        }
        Some(Http::new(HEAD).one_request(WHOLE).route(stream, api.clone(), (), stopping))
    };
    let connections = Connections::new("connections of the participant", CONNECTIONS);
    connections.serve(socket, pending(), connect).await;
}

/// Who is calling, in the form that the mesh has for people.
fn header() -> Header {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Header {
        source: nowhere,
        destination: nowhere,
        authority: None,
        identity: Identity {
            v: VERSION,
            node: NODE.to_owned(),
            user: Some(User { id: NUMBER, login: person::PARTICIPANT.to_owned() }),
            tags: Vec::new(),
            service: services::ROOMS_LINK.name.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
