//! Rooms for tests, without the endpoints of rooms.

use futures_util::FutureExt as _;
use ruma::{OwnedEventId, OwnedRoomId, RoomId, api::client::room::create_room::v3::Request};
use serde_json::{Value, json};
use telmeet_core::{
    client_event::Transaction,
    create::{self, Profile},
    event::Draft,
    json,
};

use super::{NETWORK, TestClient, TestServer};
use crate::{error::Error, random};

impl TestServer {
    /// Makes a room. `change` says which.
    pub(crate) async fn room(
        &self,
        creator: &TestClient,
        change: impl FnOnce(&mut Request),
    ) -> OwnedRoomId {
        let mut request = Request::new();
        change(&mut request);
        let (room_id, user) = (random::room_id(NETWORK).unwrap(), creator.user.clone());
        let id = room_id.clone();
        let write = self.homeserver.write(move |transaction| {
            async move {
                let context = create::Context { room_id, creator: user, time: transaction.now() };
                let creation = create::create(&request, &context, |_| Some(Profile::default()))?;
                transaction.create(&creation).await
            }
            .boxed()
        });
        write.await.unwrap();
        id
    }

    /// Makes a room of these people, who have joined.
    pub(crate) async fn room_of(
        &self,
        creator: &TestClient,
        others: &[&TestClient],
    ) -> OwnedRoomId {
        let room = self.room(creator, |_| {}).await;
        for other in others {
            self.membership(creator, &room, other, "invite").await;
            self.membership(other, &room, other, "join").await;
        }
        room
    }

    /// Sends an event.
    pub(crate) async fn try_event(
        &self,
        sender: &TestClient,
        room: &RoomId,
        (kind, key): (&str, Option<&str>),
        content: Value,
    ) -> Result<OwnedEventId, Error> {
        let sent_by = Transaction {
            device: sender.device.clone(),
            id: format!("t-{}", random::id()?).into(),
        };
        let (room_id, user) = (room.to_owned(), sender.user.clone());
        let (kind, key) = (kind.into(), key.map(str::to_owned));
        let write = self.homeserver.write(move |transaction| {
            async move {
                let draft = Draft {
                    room_id,
                    sender: user,
                    kind,
                    state_key: key,
                    content: json::content(content.to_string().as_bytes())?,
                    time: transaction.now(),
                };
                Ok(transaction.append(draft, Some(&sent_by)).await?.event_id.clone())
            }
            .boxed()
        });
        write.await
    }

    /// Sends a state event, which must be allowed.
    pub(crate) async fn state(
        &self,
        sender: &TestClient,
        room: &RoomId,
        (kind, key): (&str, &str),
        content: Value,
    ) -> OwnedEventId {
        self.try_event(sender, room, (kind, Some(key)), content).await.unwrap()
    }

    /// Changes a membership, which must be allowed.
    pub(crate) async fn membership(
        &self,
        sender: &TestClient,
        room: &RoomId,
        target: &TestClient,
        membership: &str,
    ) {
        let content = json!({ "membership": membership });
        self.state(sender, room, ("m.room.member", target.user.as_str()), content).await;
    }

    /// Sends a text message.
    pub(crate) async fn say(&self, sender: &TestClient, room: &RoomId, text: &str) -> OwnedEventId {
        let content = json!({ "msgtype": "m.text", "body": text });
        self.try_event(sender, room, ("m.room.message", None), content).await.unwrap()
    }
}
