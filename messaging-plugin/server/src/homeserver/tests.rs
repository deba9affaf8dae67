//! Writing and reading rooms, without endpoints.

mod faults;
mod versions;

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, OwnedEventId, OwnedRoomId, RoomId, UserId,
    api::client::room::create_room::v3::Request, events::TimelineEventType,
};
use telmeet_core::{
    client_event::Transaction as SentBy,
    create::{self, Context, Profile},
    event::Draft,
    token::Clock,
};

use super::Homeserver;
use crate::{
    error::Error,
    events::{self, Direction},
    random,
    testing::{NETWORK, TestServer},
};

fn kim() -> ruma::OwnedUserId {
    UserId::parse(format!("@kim:{NETWORK}")).unwrap()
}

/// A room that Kim made.
async fn room(homeserver: &Homeserver) -> OwnedRoomId {
    let id = random::room_id(NETWORK).unwrap();
    let room_id = id.clone();
    let write = homeserver.write(move |tx| {
        Box::pin(async move {
            let context = Context { room_id, creator: kim(), time: tx.now() };
            let creation = create::create(&Request::new(), &context, |_| Some(Profile::default()))?;
            tx.create(&creation).await
        })
    });
    write.await.unwrap();
    id
}

/// Kim sends a text.
async fn send(
    homeserver: &Homeserver,
    room: &RoomId,
    text: &str,
    sent_by: Option<SentBy>,
) -> Result<OwnedEventId, Error> {
    let content = CanonicalJsonObject::from([("body".to_owned(), text.into())]);
    let room_id = room.to_owned();
    let write = homeserver.write(move |tx| {
        Box::pin(async move {
            let kind = TimelineEventType::RoomMessage;
            let (sender, state_key, time) = (kim(), None, tx.now());
            let draft = Draft { room_id, sender, kind, state_key, content, time };
            Ok(tx.append(draft, sent_by.as_ref()).await?.event_id.clone())
        })
    });
    write.await
}

async fn texts(homeserver: &Homeserver, room: &RoomId) -> Vec<(u64, String)> {
    let mut connection = homeserver.pool().acquire().await.unwrap();
    let places = (0, homeserver.clock().latest);
    let vault = homeserver.vault();
    let read = events::timeline(&mut connection, vault, room, places, 100, Direction::Forward);
    let text = |event: &telmeet_core::event::Event| {
        let content: serde_json::Value = serde_json::from_str(event.content.get()).unwrap();
        content["body"].as_str().map(str::to_owned)
    };
    let stored = read.await.unwrap();
    stored.iter().filter_map(|it| Some((it.sequence, text(&it.event)?))).collect()
}

#[tokio::test]
async fn a_room_and_its_messages_survive_a_restart() {
    let server = TestServer::start().await;
    let room = room(&server.homeserver).await;
    let first = server.homeserver.room(&room).await.unwrap().unwrap();
    send(&server.homeserver, &room, "hello", None).await.unwrap();
    let Clock { generation, latest } = server.homeserver.clock();
    let before = server.homeserver.room(&room).await.unwrap().unwrap();

    let server = server.restart().await;

    let after = server.homeserver.room(&room).await.unwrap().unwrap();
    assert_eq!(server.homeserver.clock(), Clock { generation, latest });
    assert_eq!((&after.head, after.sequence), (&before.head, first.sequence + 1));
    assert_eq!(after.state.joined_count(), 1);
    assert_eq!(after.state.iter().count(), before.state.iter().count());
    assert_eq!(texts(&server.homeserver, &room).await, [(after.sequence, "hello".to_owned())]);
}

#[tokio::test]
async fn writes_that_wait_share_transactions_and_leave_no_gap() {
    let server = TestServer::start().await;
    let room = room(&server.homeserver).await;
    let start = server.homeserver.room(&room).await.unwrap().unwrap().sequence;
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (homeserver, room) = (Arc::clone(&server.homeserver), room.clone());
        writes.spawn(async move { send(&homeserver, &room, &number.to_string(), None).await });
    }
    while let Some(sent) = writes.join_next().await {
        sent.unwrap().unwrap();
    }

    let texts = texts(&server.homeserver, &room).await;

    let sequences: Vec<u64> = texts.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences, (start + 1..=start + 50).collect::<Vec<_>>());
    let revision = sqlx::query_scalar::<_, i64>("SELECT revision FROM homeserver");
    let revision = revision.fetch_one(server.homeserver.pool()).await.unwrap();
    assert!(revision < 50, "{revision} transactions for 51 writes");
}

#[tokio::test]
async fn a_refused_write_leaves_nothing_and_others_stand() {
    let server = TestServer::start().await;
    let room = room(&server.homeserver).await;
    let before = server.homeserver.room(&room).await.unwrap().unwrap();
    let refused = {
        let room = room.clone();
        server.homeserver.write(move |tx| {
            Box::pin(async move {
                let kind = TimelineEventType::RoomMessage;
                let content = CanonicalJsonObject::new();
                let draft = Draft {
                    room_id: room,
                    sender: kim(),
                    kind,
                    state_key: None,
                    content,
                    time: tx.now(),
                };
                tx.append(draft, None).await?;
                Err::<(), _>(Error::forbidden("no"))
            })
        })
    };

    let (refused, sent) =
        tokio::join!(refused, send(&server.homeserver, &room, "this stands", None));

    assert!(matches!(refused, Err(Error::Core(_))));
    sent.unwrap();
    let after = server.homeserver.room(&room).await.unwrap().unwrap();
    assert_eq!(after.sequence, before.sequence + 1);
    let texts = texts(&server.homeserver, &room).await;
    assert_eq!(texts, [(after.sequence, "this stands".to_owned())]);
}

#[tokio::test]
async fn a_panic_ends_one_transaction_and_not_all_writing() {
    let server = TestServer::start().await;
    let room = room(&server.homeserver).await;

    let panics = server.homeserver.write::<()>(|_| Box::pin(async { panic!("on purpose") })).await;

    assert!(matches!(panics, Err(Error::Database(_))));
    send(&server.homeserver, &room, "still here", None).await.unwrap();
}

#[tokio::test]
async fn content_is_sealed_where_it_is_stored() {
    let server = TestServer::start().await;
    let room = room(&server.homeserver).await;
    send(&server.homeserver, &room, "a canary in the coal mine", None).await.unwrap();

    let query = sqlx::query_scalar::<_, Vec<u8>>("SELECT content_sealed FROM events");
    let stored = query.fetch_all(server.homeserver.pool()).await.unwrap();

    let has_canary = |bytes: &Vec<u8>| bytes.windows(6).any(|window| window == b"canary");
    assert!(!stored.iter().any(has_canary));
    assert_eq!(texts(&server.homeserver, &room).await[0].1, "a canary in the coal mine");
}
