//! Those who have a member's name, or a member's sealed bytes, but not the member's key.
//!
//! Fails if the relay of sealed chat (telmeet) can ask in somebody's name, even with another member's
//! key, or if a sealed request is opened that must not be, or the answers tell why not. Each refusal stands
//! beside the same thing done rightly, which is answered. (Which process is answered where: `surfaces`.)

use std::os::unix::net::UnixStream;

use ai_gateway_api::{
    sealed::{Event, path},
    wire::Fixed,
};
use lab::Deployment;
use mesh_identity::{Header, Identity, User};
use telmeet_api::plugin;
use testkit::blocking::http;

use super::support::{
    app::{self, App},
    caller::{Caller, header, problem, telmeet},
};

#[test]
#[ignore = "needs: root, podman, model"]
fn telmeet_asks_in_nobodys_name_with_a_key_of_its_own() {
    let mut deployment = Deployment::start().unwrap();
    let alice = deployment.member("alices-laptop", "alice").unwrap();
    let bob = deployment.member("bobs-laptop", "bob").unwrap();
    let alices = App::bound(&alice.instance, 1);
    let bobs = App::bound(&bob.instance, 2);
    let own = App::new(&alice.instance, 3);
    let in_alices_name = header(&deployment, &alice.instance, "alice", 80);

    let telmeet = telmeet(&deployment);
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

/// A hostile telmeet in the place of ours, with a member who lends it a device key and reads along:
/// every pairing of key, node, person and session but the true ones.
#[test]
#[ignore = "needs: root, podman, model"]
fn nobody_lends_a_name() {
    let mut deployment = Deployment::start().unwrap();
    let alice = deployment.member("alices-laptop", "alice").unwrap();
    let bob = deployment.member("bobs-laptop", "bob").unwrap();
    let headers = [(&alice, "alice"), (&bob, "bob")]
        .map(|(it, who)| header(&deployment, &it.instance, who, 80));
    let apps =
        [App::bound(&alice.instance, 1), App::bound(&bob.instance, 2), App::new(&bob.instance, 3)];
    let remember = format!("/remember {}", "Alice collects stamps. ".repeat(40));
    apps[0].ask(&app::say("main", &remember));
    // The same question of both: Alice's prompt holds her memory, and Bob's does not.
    let [alices, bobs] = [0, 1].map(|at| prompt_tokens(&apps[at].ask(&app::say("main", "Hello!"))));
    assert!(alices > bobs + 100, "{alices} tokens of Alice's prompt, {bobs} of Bob's");
    let kept = [0, 1].map(|at| apps[at].ask(&app::history("main")));
    assert!(kept.iter().all(|messages| messages.len() == 2), "{kept:?}");
    let counted = counted(&deployment);

    let telmeet = telmeet(&deployment);
    assert_eq!(refused_pairings(telmeet, &apps, &headers, &kept), (3 * 2 * 4 - 2) * 3);

    // What it makes up in Alice's name is bounded, and costs Alice nothing on her own listener.
    let made_up = || relay(telmeet, &headers[0], "{}").0;
    // Five a second are allowed, and sixty besides: a slow machine needs more of them to see an end.
    let asked = (0..1000).position(|_| made_up() == 429);
    assert!(asked.is_some(), "telmeet may ask as often as it likes");
    assert_eq!(self::counted(&deployment), counted, "something was counted");
    assert_eq!([0, 1].map(|at| apps[at].ask(&app::history("main"))), kept);
    assert_eq!(prompt_tokens(&apps[0].ask(&app::say("other", "Hello!"))), alices);
}

/// Passes a body on as telmeet does, in the name of this header.
fn relay(telmeet: Caller, header: &Header, body: &str) -> (u16, String) {
    let request = ("POST", path::CHAT, plugin::HOST);
    let answer = telmeet.ask("/run/maru/plugin/http.sock", header, request, Some(body));
    answer.expect("telmeet may connect").expect("telmeet is answered")
}

/// Tries every key with every node and person, on a session that both people have; says how many
/// requests were refused. The true pairings read what was `kept` of their own.
fn refused_pairings(
    telmeet: Caller,
    apps: &[App],
    headers: &[Header],
    kept: &[Vec<Event>],
) -> usize {
    let nobodys = [None, Some(User { id: 4711, login: "carol".to_owned() })];
    let users = headers.iter().map(|header| header.identity.user.clone());
    let persons: Vec<_> = users.chain(nobodys).collect();
    let all = (0..apps.len()).flat_map(|key| (0..headers.len()).map(move |node| (key, node)));
    let all = all.flat_map(|(key, node)| (0..persons.len()).map(move |person| (key, node, person)));
    let mut refused = 0;
    for (key, node, person) in all {
        let (app, header) = (&apps[key], &headers[node]);
        let identity = Identity { user: persons[person].clone(), ..header.identity.clone() };
        let claim = Header { identity, ..header.clone() };
        let is_true = key == node && node == person;
        let lies = [app::history("main"), app::say("main", "Hello!"), app::say("main", "/new")];
        let tried = if is_true { &lies[..1] } else { &lies[..] };
        for operation in tried {
            let (request, reply) = app.seal_operation(operation);
            let answer = relay(telmeet, &claim, &app::text(&request));
            let read = (answer.0 == 200).then(|| app::open(reply, &answer.1));
            let own = is_true.then(|| kept[key].clone());
            assert_eq!(read, own, "key {key}, node {node}, person {person}: {operation:?}");
            if !is_true {
                assert_eq!(problem(&answer), (403, "device".to_owned()));
                refused += 1;
            }
        }
    }
    refused
}

/// How many tokens the prompt had that this answers.
fn prompt_tokens(events: &[Event]) -> u32 {
    let usage = events.iter().find_map(|event| {
        if let Event::Usage(usage) = event { Some(usage.prompt_tokens) } else { None }
    });
    usage.expect("the model counts tokens")
}

/// What the gateway counts of chats, tokens and sessions.
fn counted(deployment: &Deployment) -> Vec<String> {
    let stream =
        UnixStream::connect(deployment.home.root.join("run/maru/metrics/http.sock")).unwrap();
    let answer = http::request(stream, "GET", "/metrics", "localhost", &[], None).unwrap();
    let text = answer.body().unwrap();
    let what = ["chats", "tokens", "conversations", "conversation_bytes", "active_chats"];
    let is_of = |line: &&str| {
        let name = line.strip_prefix("maru_gateway_").unwrap_or_default();
        what.iter().any(|what| name.starts_with(what))
    };
    let lines: Vec<_> = text.lines().filter(is_of).map(str::to_owned).collect();
    assert!(lines.len() >= 5, "{text}");
    lines
}

#[test]
#[ignore = "needs: root, podman, model"]
fn whatever_is_wrong_with_a_sealed_request_the_answer_is_the_same() {
    let mut deployment = Deployment::start().unwrap();
    let laptop = deployment.member("laptop", "alice").unwrap();
    let app = App::bound(&laptop.instance, 1);

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
