//! Apps in a network that cuts connections after the request, loses responses, and delivers requests twice. telmeet is away at
//! first, while they queue what they send; there is no gateway; and the coordinator's list of people is damaged, or gone.
//!
//! Fails if a message, or one from device to device, is lost, is there twice, or comes in another order than it was sent; if two
//! apps get one one-time key; if a file is lost; or if an app is told that it is signed out.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    process::{Person, Root},
    room::{Shown, escaped, follow, history},
};

/// People who write.
const WRITERS: u64 = 6;
/// What each of them sends.
const MESSAGES: usize = 40;
/// What one of them has queued in an hour without the home.
const OUTBOX: usize = 500;
/// Keys that everybody claims.
const KEYS: usize = 20;

/// Sends messages, each also from device to device, and claims keys. Returns the keys.
fn write(person: &Person, room: &str, to: &Person, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for number in 0..count {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{number}");
        person.must("PUT", &path, &json!({"msgtype": "m.text", "body": number.to_string()}));
        if number < MESSAGES {
            let path = format!("/_matrix/client/v3/sendToDevice/m.test/{number}");
            let content = json!({(&to.id): {(&to.device): {"text": number.to_string()}}});
            person.must("PUT", &path, &json!({ "messages": content }));
        }
        if number < KEYS {
            let device = json!({(&to.id): {(&to.device): "signed_curve25519"}});
            let claim = json!({ "one_time_keys": device });
            let claimed = person.must("POST", "/_matrix/client/v3/keys/claim", &claim);
            let claimed = claimed["one_time_keys"][&to.id][&to.device].as_object();
            keys.extend(claimed.into_iter().flatten().map(|(id, _)| id.clone()));
        }
    }
    keys
}

/// Uploads files, and reads each.
fn upload(person: &Person) {
    for number in 0..MESSAGES {
        let file = json!({ "file": number, "of": person.id });
        let uploaded = person.must("POST", "/_matrix/media/v3/upload", &file);
        let address = uploaded["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap();
        let path = format!("/_matrix/client/v1/media/download/{address}");
        assert_eq!(person.must("GET", &path, &Value::Null), file);
    }
}

/// The coordinator is away, or begins. telmeet, which runs, looks twice a second.
fn damage(root: &Root, people: &[&Person]) {
    people[0].must("GET", "/_matrix/client/v3/account/whoami", &Value::Null);
    for text in [Some(""), Some("{"), Some("{\"version\":999}"), None] {
        match text {
            Some(text) => fs::write(root.list(), text).unwrap(),
            None => fs::remove_file(root.list()).unwrap(),
        }
        thread::sleep(Duration::from_millis(700));
    }
    root.lists(&[]);
    thread::sleep(Duration::from_millis(700));
    root.lists(people);
}

#[test]
fn in_a_bad_network_nothing_is_lost_doubled_or_out_of_order() {
    let root = Root::new();
    let mut telmeet = root.start();
    let people: Vec<_> = (1..=WRITERS).map(|number| root.person(number)).collect();
    let reader = root.person(WRITERS + 1);
    let create = json!({"preset": "public_chat"});
    let room = reader.must("POST", "/_matrix/client/v3/createRoom", &create);
    let room = room["room_id"].as_str().unwrap();
    for person in &people {
        person.must("POST", &format!("/_matrix/client/v3/join/{}", escaped(room)), &json!({}));
    }
    let key = |id: u64| (format!("signed_curve25519:{id:04}"), json!({"key": id.to_string()}));
    let keys: serde_json::Map<_, _> = (0..500).map(key).collect();
    let keys = json!({ "one_time_keys": keys });
    let [people, reader] = [people, vec![reader]]
        .map(|all| all.into_iter().map(Person::in_a_bad_network).collect::<Vec<_>>());
    let reader = &reader[0];
    reader.must("POST", "/_matrix/client/v3/keys/upload", &keys);
    let first = reader.must("GET", "/_matrix/client/v3/sync", &Value::Null);
    let since = first["next_batch"].as_str().unwrap().to_owned();
    telmeet.kill();

    let everybody: Vec<_> = people.iter().chain([reader]).collect();
    root.lists(&everybody);
    let counts: Vec<_> = people.iter().map(|_| MESSAGES).collect();
    let counts = [&[OUTBOX], &counts[1..]].concat();
    let all: usize = counts.iter().sum();
    let (claimed, shown) = thread::scope(|scope| {
        let writes = people.iter().zip(&counts).map(|(person, count)| {
            scope.spawn(move || write(person, &escaped(room), reader, *count))
        });
        let writers: Vec<_> = writes.collect();
        telmeet = root.start();
        scope.spawn(|| upload(&people[1]));
        scope.spawn(|| damage(&root, &everybody));
        let to_device = people.len() * MESSAGES;
        let is_all =
            |shown: &Shown| shown.messages.len() >= all && shown.to_device.len() >= to_device;
        let shown = follow(reader, room, since, is_all);
        let claimed: Vec<_> = writers.into_iter().flat_map(|it| it.join().unwrap()).collect();
        (claimed, shown)
    });

    assert_eq!(shown.messages, history(reader, room, ("f", ""), None));
    for (person, count) in people.iter().zip(counts) {
        let texts = |count: usize| (0..count).map(|number| number.to_string());
        let own = shown.messages.iter().filter(|(_, sender, _)| *sender == person.id);
        assert!(own.map(|(.., text)| text.clone()).eq(texts(count)), "{}", person.id);
        let own = shown.to_device.iter().filter(|(sender, _)| *sender == person.id);
        assert!(own.map(|(_, text)| text.clone()).eq(texts(MESSAGES)), "{}", person.id);
    }
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), claimed.len(), "{claimed:?}");
    assert_eq!(claimed.len(), people.len() * KEYS);
}
