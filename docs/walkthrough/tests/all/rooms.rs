//! Two people write to each other over the mesh, with an app that is written here.
//!
//! Fails if a message does not arrive; if a person who was removed stays in a room; if somebody who uses no rooms yet is not found; if an access token works from another person's node; if the sign-in page is cut, or
//! one appears under the name of sealed chat; or if a website is let in where no token is asked. Blind to stock clients,
//! which `cargo xtask interop matrix` runs.

use std::{net::TcpStream, time::Duration};

use lab::{Deployment, Member};
use serde_json::{Value, json};
use testkit::blocking::{eventually_within, http};

use super::support::app::CHAT;

const ROOMS: &str = "rooms.maru.home.arpa";
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENT: &str = "/_matrix/client/v3";
const PAGE: &str = "/sign-in/sso?redirectUrl=http%3A%2F%2Flocalhost%3A8000%2Fsso";

/// An app that signed in.
struct App<'a> {
    member: &'a Member,
    user: String,
    token: String,
}

fn ask(
    member: &Member,
    (method, host, path): (&str, &str, &str),
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> http::Response<TcpStream> {
    let stream = member.instance.dial(80).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = body.map(Value::to_string);
    http::request(stream, method, path, host, headers, body.as_deref()).unwrap()
}

impl<'a> App<'a> {
    fn sign_in(member: &'a Member) -> Self {
        let said = member.instance.ok(&["rooms", "login", "-o", "json"]).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        let identifier = json!({"type": "m.id.user", "user": said["user_id"]});
        let login = json!({"type": "m.login.password", "identifier": identifier, "password": said["password"]});
        let to = ("POST", ROOMS, &*format!("{CLIENT}/login"));
        let answer = ask(member, to, &[], Some(&login)).json().unwrap();
        let again = ask(member, to, &[], Some(&login));
        assert_eq!(again.status, 403, "the password works once");
        let text = |name: &str| answer[name].as_str().expect("signed in").to_owned();
        Self { member, user: text("user_id"), token: text("access_token") }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let headers = [("Authorization", &*self.bearer())];
        let answer = ask(self.member, (method, ROOMS, &format!("{CLIENT}{path}")), &headers, body);
        assert_eq!(answer.status, 200, "{method} {path}");
        answer.json().unwrap()
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn two_people_write_to_each_other_and_a_token_works_from_its_own_node_alone() {
    let mut deployment = Deployment::start().unwrap();
    let alices = deployment.member("alices-laptop", "alice").unwrap();
    let bobs = deployment.member("bobs-laptop", "bob").unwrap();
    let (alice, bob) = (App::sign_in(&alices), App::sign_in(&bobs));
    assert_eq!((&*alice.user, &*bob.user), ("@alice:maru.home.arpa", "@bob:maru.home.arpa"));

    let room = json!({"preset": "private_chat", "invite": [bob.user]});
    let room = alice.ask("POST", "/createRoom", Some(&room));
    let room = room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A");
    bob.ask("POST", &format!("/join/{room}"), Some(&json!({})));
    let since = bob.ask("GET", "/sync", None)["next_batch"].as_str().unwrap().to_owned();
    let text = json!({"msgtype": "m.text", "body": "good morning"});
    alice.ask("PUT", &format!("/rooms/{room}/send/m.room.message/1"), Some(&text));
    let news = bob.ask("GET", &format!("/sync?timeout=30000&since={since}"), None);
    assert!(news.to_string().contains("good morning"), "{news}");

    let who = format!("{CLIENT}/account/whoami");
    let of_alice = [("Authorization", &*alice.bearer())];
    assert_eq!(ask(&alices, ("GET", ROOMS, &who), &of_alice, None).status, 200);
    let refused = ask(&bobs, ("GET", ROOMS, &who), &of_alice, None);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json().unwrap()["errcode"], "M_UNKNOWN_TOKEN");

    let page = ask(&alices, ("GET", ROOMS, PAGE), &[], None);
    assert!(page.status == 200 && page.head.contains("text/html"), "{}", page.head);
    assert_eq!(ask(&alices, ("GET", CHAT, PAGE), &[], None).status, 404);
    let website = [("Origin", "https://evil.example")];
    for path in [PAGE, "/maru/v1/rooms/login"] {
        assert_eq!(ask(&alices, ("GET", ROOMS, path), &website, None).status, 403, "{path}");
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn people_are_those_of_the_network_before_they_sign_in_and_after_they_are_removed() {
    let mut deployment = Deployment::start().unwrap();
    let alices = deployment.member("alices-laptop", "alice").unwrap();
    let bobs = deployment.member("bobs-laptop", "bob").unwrap();
    let alice = App::sign_in(&alices);
    let search =
        || alice.ask("POST", "/user_directory/search", Some(&json!({"search_term": "bob"})));
    let found = |ids: &[&str]| {
        let found = search();
        let found = found["results"].as_array().unwrap().iter();
        found.map(|person| person["user_id"].as_str().unwrap().to_owned()).eq(ids.iter().copied())
    };
    eventually_within(PATIENCE, "he has not signed in, and is found", || {
        found(&["@bob:maru.home.arpa"])
    });
    let room = json!({"preset": "private_chat", "invite": ["@bob:maru.home.arpa"]});
    let room = alice.ask("POST", "/createRoom", Some(&room));
    let room = room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A");
    let bob = App::sign_in(&bobs);
    bob.ask("POST", &format!("/join/{room}"), Some(&json!({})));
    let joined = || {
        let members = alice.ask("GET", &format!("/rooms/{room}/joined_members"), None);
        members["joined"].as_object().unwrap().len()
    };
    assert_eq!(joined(), 2);

    // The coordinator away and back takes nobody away.
    deployment.crash("maru-coordinator", "serve").unwrap();
    bob.ask("GET", "/account/whoami", None);
    eventually_within(PATIENCE, "the coordinator is back", || {
        deployment.home.ok(&["device", "list"]).is_ok()
    });
    bob.ask("GET", "/account/whoami", None);

    deployment.home.ok(&["device", "remove", "bobs-laptop"]).unwrap();
    assert_eq!(joined(), 2, "the person is still one of the network");
    deployment.home.ok(&["user", "remove", "bob"]).unwrap();
    eventually_within(PATIENCE, "he leaves the room", || joined() == 1);
    assert!(found(&[]));
    deployment.member("bobs-new-laptop", "bob").unwrap();
    eventually_within(PATIENCE, "another person, another id", || found(&["@bob-2:maru.home.arpa"]));
}
