//! What syncs read in memory is what is in the database.

use axum::http::Method;
use proptest::prelude::*;
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use super::texts;
use crate::testing::{TestClient, TestServer};

const V3: &str = "/_matrix/client/v3/sync";
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
const FILTERS: [&str; 3] = [
    "%7B%7D",
    "%7B%22room%22:%7B%22state%22:%7B%22lazy_load_members%22:true%7D,%22timeline%22:%7B%22limit%22:2,\
     %22unread_thread_notifications%22:true%7D%7D%7D",
    "%7B%22room%22:%7B%22timeline%22:%7B%22not_types%22:%5B%22m.room.message%22%5D%7D%7D%7D",
];
const PEOPLE: usize = 3;
const ROOMS: usize = 2;

/// What somebody does. Most of it is refused where it is not allowed.
#[derive(Clone, Debug)]
enum Step {
    /// Sends a message, which may relate to an earlier event: an edit, a reaction, an answer in a thread.
    Say(usize, usize, Option<(&'static str, usize)>),
    Redact(usize, usize, usize),
    State(usize, usize, &'static str, Value),
    Membership(usize, usize, &'static str, usize),
    Receipt(usize, usize, &'static str, usize, bool),
    AccountData(usize, &'static str, Value),
    ToDevice(usize, usize),
    Keys(usize),
    /// Syncs from an earlier token.
    Sync(usize, usize, usize),
    Poll(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (person, room, event) = (0..PEOPLE, 0..ROOMS, 0..6_usize);
    let relation = prop_oneof![
        2 => Just(None),
        1 => (prop::sample::select(&["m.replace", "m.annotation", "m.thread", "m.reference"][..]), event.clone())
            .prop_map(Some),
    ];
    let state = prop::sample::select(vec![
        ("m.room.name", json!({"name": "one"})),
        ("m.room.name", json!({"name": "two"})),
        ("m.room.history_visibility", json!({"history_visibility": "joined"})),
        ("m.room.history_visibility", json!({"history_visibility": "shared"})),
        ("m.room.join_rules", json!({"join_rule": "public"})),
    ]);
    let data = prop::sample::select(vec![
        ("m.ignored_user_list", json!({"ignored_users": {"@p1:maru.test": {}}})),
        ("m.ignored_user_list", json!({"ignored_users": {}})),
        ("org.example", json!({"a": 1})),
    ]);
    let membership = prop::sample::select(&["join", "leave", "invite", "kick", "forget"][..]);
    let receipt = prop::sample::select(&["m.read", "m.read.private", "m.fully_read"][..]);
    let (p, r, e) = (|| person.clone(), || room.clone(), || event.clone());
    prop_oneof![
        8 => (p(), r(), relation).prop_map(|(p, r, relation)| Step::Say(p, r, relation)),
        1 => (p(), r(), e()).prop_map(|(p, r, e)| Step::Redact(p, r, e)),
        1 => (p(), r(), state).prop_map(|(p, r, (kind, content))| Step::State(p, r, kind, content)),
        2 => (p(), r(), membership, p()).prop_map(|(p, r, how, whom)| Step::Membership(p, r, how, whom)),
        3 => (p(), r(), receipt, e(), any::<bool>())
            .prop_map(|(p, r, kind, e, is_main)| Step::Receipt(p, r, kind, e, is_main)),
        1 => (p(), data).prop_map(|(p, (kind, content))| Step::AccountData(p, kind, content)),
        1 => (p(), p()).prop_map(|(from, to)| Step::ToDevice(from, to)),
        1 => p().prop_map(Step::Keys),
        5 => (p(), 0..4_usize, 0..FILTERS.len()).prop_map(|(p, back, filter)| Step::Sync(p, back, filter)),
        4 => p().prop_map(Step::Poll),
    ]
}

/// A homeserver with people who do something.
struct Simulation {
    server: TestServer,
    people: Vec<TestClient>,
    rooms: Vec<OwnedRoomId>,
    /// The ids of the events of each room, the latest last.
    events: Vec<Vec<String>>,
    /// The tokens of each person, the latest last.
    tokens: Vec<Vec<String>>,
    polls: Vec<Value>,
    next: usize,
}

impl Simulation {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(server.member(&format!("p{number}"), "PHONE").await);
        }
        let rooms = vec![
            server.room_of(&people[0], &[&people[1], &people[2]]).await,
            server.room_of(&people[1], &[&people[0]]).await,
        ];
        let (events, tokens) = (vec![Vec::new(); ROOMS], vec![Vec::new(); PEOPLE]);
        let mut world = Self {
            server,
            people,
            rooms,
            events,
            tokens,
            polls: vec![Value::Null; PEOPLE],
            next: 0,
        };
        for person in 0..PEOPLE {
            world.sync(person, None, 0).await;
            world.poll(person).await;
        }
        world
    }

    fn event(&self, room: usize, back: usize) -> String {
        let events = &self.events[room];
        let index = events.len().checked_sub(1 + back);
        index.map_or_else(|| "$none".to_owned(), |index| events[index].clone())
    }

    /// Does a step. Returns what a sync showed, and what one of another homeserver shows that has the same database and
    /// nothing in memory.
    async fn step(&mut self, step: Step) -> Option<(Value, Value)> {
        self.next += 1;
        if let Step::Sync(person, back, filter) = step {
            let tokens = &self.tokens[person];
            let since = tokens[tokens.len().saturating_sub(1 + back)].clone();
            return Some(self.sync(person, Some(&since), filter).await);
        }
        if let Step::Poll(person) = step {
            self.poll(person).await;
        }
        let (person, method, path, body) = self.request(&step)?;
        let path = format!("/_matrix/client/v3/{path}");
        let (_, answer) = self.people[person].call(method, &path, body).await;
        if let Step::Say(_, room, _) = step {
            self.events[room].extend(answer["event_id"].as_str().map(str::to_owned));
        }
        None
    }

    /// The request of a step, if it is one: who sends it, and what.
    fn request(&self, step: &Step) -> Option<(usize, Method, String, Value)> {
        let next = self.next;
        let in_room = |room: usize| format!("rooms/{}", TestClient::room(&self.rooms[room]));
        let user = |person: usize| self.people[person].user.as_str();
        Some(match step {
            Step::Say(person, room, relation) => {
                let kind = match relation {
                    Some(("m.annotation", _)) => "m.reaction",
                    Some(_) | None => "m.room.message",
                };
                let path = format!("{}/send/{kind}/{next}", in_room(*room));
                (*person, Method::PUT, path, self.message(*room, *relation))
            }
            Step::Redact(person, room, back) => {
                let path = format!("{}/redact/{}/{next}", in_room(*room), self.event(*room, *back));
                (*person, Method::PUT, path, json!({}))
            }
            Step::State(person, room, kind, content) => {
                (*person, Method::PUT, format!("{}/state/{kind}", in_room(*room)), content.clone())
            }
            Step::Membership(person, room, how, whom) => {
                let is_of_other = ["invite", "kick"].contains(how);
                let body = if is_of_other { json!({"user_id": user(*whom)}) } else { json!({}) };
                (*person, Method::POST, format!("{}/{how}", in_room(*room)), body)
            }
            Step::Receipt(person, room, kind, back, is_main) => {
                let event = self.event(*room, *back);
                let path = format!("{}/receipt/{kind}/{event}", in_room(*room));
                let body = if *is_main { json!({"thread_id": "main"}) } else { json!({}) };
                (*person, Method::POST, path, body)
            }
            Step::AccountData(person, kind, content) => {
                let path = format!("user/{}/account_data/{kind}", user(*person));
                (*person, Method::PUT, path, content.clone())
            }
            Step::ToDevice(from, to) => {
                let messages = json!({(user(*to)): {"PHONE": {"number": next}}});
                let path = format!("sendToDevice/test/{next}");
                (*from, Method::PUT, path, json!({ "messages": messages }))
            }
            Step::Keys(person) => {
                let keys = json!({(format!("curve25519:{next}")): "a2V5"});
                (*person, Method::POST, "keys/upload".to_owned(), json!({"one_time_keys": keys}))
            }
            Step::Sync(..) | Step::Poll(_) => return None,
        })
    }

    fn message(&self, room: usize, relation: Option<(&str, usize)>) -> Value {
        let mut content =
            json!({"msgtype": "m.text", "body": format!("text {} for p2", self.next)});
        if let Some((kind, back)) = relation {
            let event = self.event(room, back);
            content["m.relates_to"] = json!({"rel_type": kind, "event_id": event, "key": "+"});
            content["m.new_content"] = json!({"msgtype": "m.text", "body": "new"});
        }
        content
    }

    async fn sync(&mut self, person: usize, since: Option<&str>, filter: usize) -> (Value, Value) {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        let path = format!("{V3}?filter={}{since}", FILTERS[filter]);
        let client = &self.people[person];
        // The second one is a repetition: which members the first one showed does not count.
        client.get(&path).await;
        let shown = client.get(&path).await;
        let cold = self.server.beside(client).await.get(&path).await;
        self.tokens[person].push(shown["next_batch"].as_str().unwrap().to_owned());
        (comparable(shown), comparable(cold))
    }

    async fn poll(&mut self, person: usize) {
        self.polls[person] = self.polled(person).await;
    }

    async fn polled(&self, person: usize) -> Value {
        let last = &self.polls[person];
        let pos = last["pos"].as_str().map(|pos| format!("?pos={pos}")).unwrap_or_default();
        let since = last["extensions"]["to_device"]["next_batch"].clone();
        let request = json!({
            "conn_id": "list",
            "lists": {"all": {
                "ranges": [[0, 9]], "timeline_limit": 3,
                "required_state": [["m.room.name", ""], ["m.room.member", "$LAZY"]],
            }},
            "extensions": {
                "account_data": {"enabled": true}, "receipts": {"enabled": true}, "e2ee": {"enabled": true},
                "to_device": {"enabled": true, "since": since},
            },
        });
        self.people[person].post(&format!("{SLIDING}{pos}"), request).await
    }
}

/// Without what differs from one response to the next.
fn comparable(mut value: Value) -> Value {
    fn remove(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("age");
                // It is in no database.
                fields.remove("presence");
                fields.remove("pos");
                fields.values_mut().for_each(remove);
            }
            Value::Array(items) => items.iter_mut().for_each(remove),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    remove(&mut value);
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_sync_from_memory_shows_what_one_from_the_database_does(steps in prop::collection::vec(step(), 20..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = Simulation::start().await;
            for step in steps {
                if let Some((shown, cold)) = world.step(step).await {
                    prop_assert_eq!(shown, cold);
                }
            }
            for person in 0..PEOPLE {
                let shown = comparable(world.polled(person).await);
                world.server.homeserver.cache().clear();
                prop_assert_eq!(shown, comparable(world.polled(person).await));
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_sync_that_a_message_woke_asks_the_database_nothing() {
    let mut world = Simulation::start().await;
    let (kim, min) = (world.people[0].clone(), world.people[1].clone());
    let room = world.rooms[0].clone();
    for person in 0..2 {
        world.poll(person).await;
        let since = world.tokens[person][0].clone();
        world.sync(person, Some(&since), 1).await;
    }
    server_says(&world, &kim, "before").await;
    for person in 0..2 {
        world.poll(person).await;
        let since = world.tokens[person].last().cloned().unwrap();
        world.sync(person, Some(&since), 1).await;
    }
    server_says(&world, &min, "hello").await;
    let pool = world.server.homeserver.pool();
    let mut all = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        all.push(pool.acquire().await.unwrap());
    }
    let since = world.tokens[0].last().unwrap();
    let shown = kim.get(&format!("{V3}?filter={}&since={since}", FILTERS[1])).await;
    let shown = &shown["rooms"]["join"][room.as_str()];
    assert_eq!(texts(&shown["timeline"]["events"]), ["hello"]);
    assert_eq!(shown["unread_notifications"]["notification_count"], 1);
    let shown = world.polled(0).await;
    assert_eq!(texts(&shown["rooms"][room.as_str()]["timeline"]), ["hello"]);
    drop(all);
}

async fn server_says(world: &Simulation, sender: &TestClient, text: &str) {
    world.server.say(sender, &world.rooms[0], text).await;
}
