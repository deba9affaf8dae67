//! Keys through the router, as apps use them.

mod backup;
mod cross_signing;
mod device_lists;
mod one_time;
mod to_device;
mod upload;

use axum::http::{Method, StatusCode};
use ruma::{CanonicalJsonObject, OwnedRoomId, RoomId, api::client::room::create_room::v3::Request};
use serde_json::{Value, json};
use telmeet_core::{
    create::{self, Context, Profile},
    event::Draft,
    token::Since,
};

use super::sync;
use crate::{
    random,
    session::Session,
    testing::{NETWORK, TestClient, TestServer, signer::device_keys},
};

const UPLOAD: &str = "/_matrix/client/v3/keys/upload";
const QUERY: &str = "/_matrix/client/v3/keys/query";
const CLAIM: &str = "/_matrix/client/v3/keys/claim";
const CROSS_SIGNING: &str = "/_matrix/client/v3/keys/device_signing/upload";
const SIGNATURES: &str = "/_matrix/client/v3/keys/signatures/upload";

/// An app that uploaded the device keys of this seed.
async fn device(server: &TestServer, name: &str, device: &str, seed: u8) -> TestClient {
    let client = server.member(name, device).await;
    let keys = device_keys(seed, &client);
    client.post(UPLOAD, json!({ "device_keys": keys })).await;
    client
}

/// What `client` reads of the keys of `of`.
async fn keys_of(client: &TestClient, of: &TestClient) -> Value {
    client.post(QUERY, json!({ "device_keys": { of.user.as_str(): [] } })).await
}

/// Calls an endpoint, which must refuse with this status and code.
async fn refused(
    client: &TestClient,
    (method, path, body): (Method, &str, Value),
    (status, code): (u16, &str),
) -> Value {
    let (actual, body) = client.call(method, path, body).await;
    assert_eq!((actual, &body["errcode"]), (StatusCode::from_u16(status).unwrap(), &code.into()));
    body
}

fn session(client: &TestClient) -> Session {
    let node = client.header.identity.node.clone();
    Session { user: client.user.clone(), device: client.device.clone(), node }
}

/// A room that `client` made, which anybody may join.
async fn room(server: &TestServer, client: &TestClient) -> OwnedRoomId {
    let id = random::room_id(NETWORK).unwrap();
    let (room_id, creator) = (id.clone(), client.user.clone());
    let write = server.homeserver.write(move |tx| {
        Box::pin(async move {
            let context = Context { room_id, creator, time: tx.now() };
            let mut request = Request::new();
            request.preset = Some(ruma::api::client::room::create_room::v3::RoomPreset::PublicChat);
            let creation = create::create(&request, &context, |_| Some(Profile::default()))?;
            tx.create(&creation).await
        })
    });
    write.await.unwrap();
    id
}

/// `client` changes the membership of `target`.
async fn member(
    server: &TestServer,
    room: &RoomId,
    (client, target): (&TestClient, &TestClient),
    membership: &str,
) {
    let mut content = CanonicalJsonObject::from([("membership".to_owned(), membership.into())]);
    content.insert("displayname".to_owned(), random::id().unwrap().into());
    let (room_id, sender) = (room.to_owned(), client.user.clone());
    let state_key = Some(target.user.to_string());
    let write = server.homeserver.write(move |tx| {
        Box::pin(async move {
            let (kind, time) = ("m.room.member".into(), tx.now());
            tx.append(Draft { room_id, sender, kind, state_key, content, time }, None).await
        })
    });
    write.await.unwrap();
}

/// Where a sync continues now.
fn now(server: &TestServer) -> Since {
    Since::After(server.homeserver.clock().latest)
}

/// Who changed and who left, by their localparts.
async fn lists(
    server: &TestServer,
    client: &TestClient,
    since: Since,
) -> (Vec<String>, Vec<String>) {
    let mut connection = server.homeserver.pool().acquire().await.unwrap();
    let lists = sync::device_lists(&mut connection, &client.user, since).await.unwrap();
    let names = |users: Vec<ruma::OwnedUserId>| {
        users.iter().map(|user| user.localpart().to_owned()).collect()
    };
    (names(lists.changed), names(lists.left))
}
