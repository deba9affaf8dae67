//! Those who have a member's name, or a member's sealed bytes, but not the member's key.
//!
//! Fails if the relay of sealed chat (telmeet) can ask in somebody's name, if a process that is not
//! the caller of a link is answered there, or if a sealed request is opened that must not be, or the
//! answers tell why not. Each refusal stands beside the same thing done rightly, which is answered.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

#[path = "support/app.rs"]
mod app;

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    os::unix::net::UnixStream,
};

use ai_gateway_api::{plugin, sealed::path, wire::Fixed};
use app::{App, CHAT, OWN, PATIENCE};
use lab::{ROOT, Scene, Seat, http, inside::as_process};
use mesh_identity::{Header, Identity, User, VERSION};
use serde_json::Value;

/// Numeric users and groups of the services.
const AGENT_GID: u32 = 61000;
const COORDINATOR: u32 = 61001;
const GATEWAY: u32 = 61002;
const TELMEET: u32 = 61003;
const ENGINE: u32 = 61004;
const NOBODY: u32 = 65534;

/// Who connects to a socket: whose files it sees, and its rights.
#[derive(Clone, Copy)]
struct Caller {
    pid: u32,
    uid: u32,
    gid: u32,
}

impl Caller {
    /// Connects, says in whose name it speaks, and asks: the status and body of the answer, `None`
    /// if the connection is closed without one.
    ///
    /// Fails if it may not even connect.
    fn ask(
        self,
        socket: &str,
        header: &Header,
        (method, path, host): (&str, &str, &str),
        body: Option<&str>,
    ) -> io::Result<Option<(u16, String)>> {
        let asked = as_process(self.pid, self.uid, self.gid, || {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            if stream.write_all(&header.encode().unwrap()).is_err() {
                return Ok(None);
            }
            let Ok(answer) = http::request(stream, method, path, host, &[], body) else {
                return Ok(None);
            };
            Ok(Some((answer.status, answer.body().unwrap())))
        });
        asked.unwrap()
    }
}

/// What the agent writes when the device at this seat calls the port.
fn header(scene: &Scene, seat: &Seat, person: &str, port: u16) -> Header {
    let address = |seat: &Seat| -> IpAddr {
        seat.status().unwrap()["node"]["addresses"][0].as_str().unwrap().parse().unwrap()
    };
    let users: Value =
        serde_json::from_str(&scene.home.ok(&["user", "list", "-o", "json"]).unwrap()).unwrap();
    let user = users.as_array().unwrap().iter().find(|user| user["name"] == person).unwrap();
    let status = seat.status().unwrap();
    Header {
        source: SocketAddr::new(address(seat), 40_000),
        destination: SocketAddr::new(address(&scene.home), port),
        identity: Identity {
            v: VERSION,
            node: status["node"]["stable_id"].as_str().unwrap().to_owned(),
            user: Some(User { id: user["id"].as_u64().unwrap(), login: person.to_owned() }),
            tags: Vec::new(),
            service: "test".to_owned(),
        },
    }
}

fn problem(answer: &(u16, String)) -> (u16, String) {
    let body: Value = serde_json::from_str(&answer.1).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or_default();
    (answer.0, kind.trim_start_matches("urn:maru:problem:").to_owned())
}

#[test]
#[ignore = "needs: root, podman, model"]
fn telmeet_asks_in_nobodys_name_with_a_key_of_its_own() {
    let mut scene = Scene::start().unwrap();
    let alice = scene.member("alices-laptop", "alice").unwrap();
    let bob = scene.member("bobs-laptop", "bob").unwrap();
    let alices = App::bound(&alice.seat, 1);
    let bobs = App::bound(&bob.seat, 2);
    let own = App::new(&alice.seat, 3);
    let in_alices_name = header(&scene, &alice.seat, "alice", 80);

    // In telmeet's own container: its files, its user, the one link that it calls.
    let [telmeet] = scene.processes("maru-telmeet", "").unwrap()[..] else {
        panic!("one telmeet runs");
    };
    let telmeet = Caller { pid: telmeet, uid: TELMEET, gid: TELMEET };
    let ask = |path: &str, body: &str| {
        let request = ("POST", path, plugin::HOST);
        let answer =
            telmeet.ask("/run/maru/plugin/http.sock", &in_alices_name, request, Some(body));
        answer.expect("telmeet may connect").expect("telmeet is answered")
    };

    let refused = (403, "device".to_owned());
    let with_its_own = ask(path::CHAT, &app::text(&own.seal()));
    assert_eq!(problem(&with_its_own), refused, "telmeet asks under a key of its own");
    let with_bobs = ask(path::CHAT, &app::text(&bobs.seal()));
    assert_eq!(problem(&with_bobs), refused, "telmeet passes Bob's question as Alice's");
    let binding = ask(path::DEVICES, &own.proof());
    assert_eq!(problem(&binding), (404, "not-found".to_owned()), "telmeet binds a key to Alice");
    let still = ask(path::CHAT, &app::text(&own.seal()));
    assert_eq!(problem(&still), refused, "telmeet's key is bound by now");

    // What Alice sealed, in Alice's name, it passes on.
    let (status, body) = ask(path::CHAT, &app::text(&alices.seal()));
    assert!(status == 200 && body.contains("event: final"), "{status} {body}");
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_link_answers_its_own_caller_and_no_other_process() {
    let mut scene = Scene::start().unwrap();
    let alice = scene.member("laptop", "alice").unwrap();
    let pid = scene.home.machine.pid();
    // Link, Host, mesh port, caller's user, group of the link's folder.
    let links = [
        ("gateway", OWN, 18789, 0, AGENT_GID),
        ("plugin", plugin::HOST, 80, TELMEET, TELMEET),
        ("telmeet", CHAT, 80, 0, AGENT_GID),
    ];
    for (link, host, port, caller, group) in links {
        let socket = format!("{ROOT}/run/maru/{link}/http.sock");
        let forged = header(&scene, &alice.seat, "alice", port);
        let ask = |uid: u32, gid: u32| {
            Caller { pid, uid, gid }.ask(&socket, &forged, ("GET", path::KEYS, host), None)
        };
        for uid in [0, COORDINATOR, GATEWAY, TELMEET, ENGINE, NOBODY] {
            // In the link's group, so that the folder lets it in and the listener has to tell.
            let answer = ask(uid, group).expect("the folder's group may connect");
            let status = answer.map(|(status, _)| status);
            assert_eq!(status, (uid == caller).then_some(200), "user {uid} at {link}");
        }
        let outside = ask(NOBODY, NOBODY).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(outside, Err(io::ErrorKind::PermissionDenied), "anyone enters {link}'s folder");
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn whatever_is_wrong_with_a_sealed_request_the_answer_is_the_same() {
    let mut scene = Scene::start().unwrap();
    let laptop = scene.member("laptop", "alice").unwrap();
    let app = App::bound(&laptop.seat, 1);

    let once = app.seal();
    let answer = app.send(&once, &[]);
    assert_eq!(answer.status, 200);
    assert!(answer.body().unwrap().contains("event: final"), "the reply is whole");

    let changed = |change: fn(&mut ai_gateway_api::sealed::Request)| {
        let mut request = app.seal();
        change(&mut request);
        app.sign(&mut request);
        request
    };
    let mut unsigned = app.seal();
    unsigned.signature.0[0] ^= 1;
    let refused = [
        ("replayed", once.clone()),
        // Its signature and seal hold: only its age is wrong.
        ("two minutes old", app.seal_at(app::now_ms() - 120_000)),
        ("from the future", app.seal_at(app::now_ms() + 120_000)),
        ("one bit of the ciphertext flipped", changed(|r| r.ciphertext.0[7] ^= 1)),
        ("one bit of the encapsulated key flipped", changed(|r| r.encapsulated_key.0[7] ^= 1)),
        ("another time than under the seal", changed(|r| r.timestamp += 1)),
        ("an unknown key", changed(|r| r.key_id = Fixed([7; 8]))),
        ("one bit of the signature flipped", unsigned),
    ];
    let answers = refused.map(|(what, request)| {
        let answer = app.send(&request, &[]);
        // Every line but the date is a fixed one.
        let head = answer.head.lines().filter(|line| !line.starts_with("date:"));
        let head: Vec<_> = head.map(str::to_owned).collect();
        (what, head, (answer.status, answer.body().unwrap()))
    });
    for (what, head, answer) in &answers {
        assert_eq!(problem(answer), (400, "sealed".to_owned()), "{what}");
        assert_eq!((head, answer), (&answers[0].1, &answers[0].2), "{what}: another answer");
    }

    // What was changed was the reason: signed in the same way, untouched, it is opened.
    assert_eq!(app.send(&changed(|_| {}), &[]).status, 200);
}
