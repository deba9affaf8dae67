//! telmeet is killed (SIGKILL) at random moments, while twenty people write.
//!
//! Fails if, once it runs again, a message is gone that it had acknowledged, one is there twice, a person's messages are
//! in another order, positions have a gap, or an app that syncs on missed one or saw one twice. Blind to a loss of power:
//! what the kernel took, a killed process has written.
//!
//! [`testkit::kill`] says how to kill it more often, or at the same moments again.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};
use testkit::{
    blocking::eventually,
    kill::{self, Moments},
    postgres::Postgres,
};

use crate::{
    process::{Person, Process, Root},
    room::{Shown, escaped, follow, history},
};

/// How often it is killed, unless the environment says otherwise.
const ROUNDS: u64 = 20;
/// People who write.
const WRITERS: u64 = 20;
/// It is killed after so many acknowledged messages at most.
const MESSAGES: u64 = 60;

/// How far the people are.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    is_over: AtomicBool,
}

/// Writes one message after the other; one that is not acknowledged is sent again. Returns the ids of all.
fn write(person: &Person, room: &str, progress: &Progress) -> Vec<String> {
    let mut ids = Vec::new();
    while !progress.is_over.load(Ordering::Relaxed) {
        let number = ids.len();
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{number}");
        let body = json!({"msgtype": "m.text", "body": number.to_string()});
        let sent = person.must("PUT", &path, &body);
        ids.push(sent["event_id"].as_str().unwrap().to_owned());
        progress.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

/// Kills telmeet at a moment that is drawn, sometimes again while it starts, and starts it.
fn kill(root: &Root, telmeet: &mut Process, moments: &mut Moments, progress: &Progress) {
    let acknowledged = || progress.acknowledged.load(Ordering::Relaxed);
    let until = acknowledged() + moments.changes(MESSAGES);
    eventually("messages are acknowledged", || acknowledged() >= until);
    thread::sleep(moments.then());
    telmeet.kill();
    if let Some(time) = moments.cut_off() {
        let mut start = root.start();
        thread::sleep(time);
        start.kill();
    }
    *telmeet = root.start();
}

/// The positions of all messages, in the room's order, if the numbers of the room's events have no gap.
fn positions(root: &Root, room: &str) -> Vec<i64> {
    sqlx::any::install_default_drivers();
    let read = async {
        let mut database = sqlx::AnyConnection::connect(&root.database_url()).await.unwrap();
        let query =
            "SELECT position, sequence, kind FROM events WHERE room_id = $1 ORDER BY sequence";
        sqlx::query(query).bind(room.to_owned()).fetch_all(&mut database).await.unwrap()
    };
    let events = tokio::runtime::Runtime::new().unwrap().block_on(read);
    let sequences = events.iter().map(|event| event.get::<i64, _>("sequence"));
    assert!(sequences.eq((1_i64..).take(events.len())), "the room's numbers have a gap");
    let messages = events.iter().filter(|event| event.get::<String, _>("kind") == "m.room.message");
    messages.map(|event| event.get("position")).collect()
}

#[test]
fn killed_at_random_moments_it_loses_and_doubles_no_message() {
    survives(&Root::new());
}

#[test]
#[ignore = "needs: postgres"]
fn killed_at_random_moments_it_loses_and_doubles_no_message_on_postgres() {
    survives(&Root::on(Postgres::start()));
}

fn survives(root: &Root) {
    let mut moments = Moments::draw();
    let mut telmeet = root.start();
    let people: Vec<_> = (1..=WRITERS).map(|number| root.person(number)).collect();
    let reader = root.person(WRITERS + 1);
    let create = json!({"preset": "public_chat"});
    let room = reader.must("POST", "/_matrix/client/v3/createRoom", &create);
    let room = room["room_id"].as_str().unwrap();
    for person in &people {
        person.must("POST", &format!("/_matrix/client/v3/join/{}", escaped(room)), &json!({}));
    }
    let first = reader.must("GET", "/_matrix/client/v3/sync", &Value::Null);
    let since = first["next_batch"].as_str().unwrap().to_owned();

    let (progress, written) = (Progress::default(), OnceLock::new());
    let (acknowledged, shown) = thread::scope(|scope| {
        let (progress, written, reader) = (&progress, &written, &reader);
        let write = |person| scope.spawn(move || write(person, &escaped(room), progress));
        let writers: Vec<_> = people.iter().map(write).collect();
        let is_all = |shown: &Shown| {
            written.get().is_some_and(|written: &usize| shown.messages.len() >= *written)
        };
        let follower = scope.spawn(move || follow(reader, room, since, is_all));
        for _ in 0..kill::rounds(ROUNDS) {
            kill(root, &mut telmeet, &mut moments, progress);
        }
        progress.is_over.store(true, Ordering::Relaxed);
        let acknowledged: Vec<_> = writers.into_iter().map(|it| it.join().unwrap()).collect();
        written.set(acknowledged.iter().map(Vec::len).sum()).unwrap();
        (acknowledged, follower.join().unwrap().messages)
    });

    let all = history(&reader, room, ("f", ""), None);
    assert_eq!(shown, all, "an app that syncs on sees every message once, in the room's order");
    for (person, acknowledged) in people.iter().zip(&acknowledged) {
        let own: Vec<_> = all.iter().filter(|message| message.1 == person.id).cloned().collect();
        let message =
            |(number, id): (usize, &String)| (id.clone(), person.id.clone(), number.to_string());
        let expected: Vec<_> = acknowledged.iter().enumerate().map(message).collect();
        assert_eq!(own, expected, "{}", person.id);
    }
    telmeet.kill();
    let positions = positions(root, room);
    assert!(positions.iter().copied().eq((positions[0]..).take(all.len())), "{positions:?}");
}
