//! Programs of the home machine, with a key each; and a page of another origin.
//!
//! Fails if a program without a key, or with a removed one, gets more than health; if a removed app's reply goes on; if
//! a key opens what is a member's; or if a page is let in whose origin nobody listed. Each refusal stands beside one who
//! is answered. Blind to browsers: what they send is written here.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use lab::{Deployment, STOP};
use serde_json::{Value, json};
use testkit::blocking::http;

const PATIENCE: Duration = Duration::from_secs(60);
const HOST: &str = "127.0.0.1:18789";
const CHAT: &str = "/v1/chat/completions";
const PAGE: &str = "http://localhost:3000";

/// Starts the house again with a door for programs of its machine, and one page.
fn open_the_door(deployment: &mut Deployment) {
    let status = deployment.up.stop(STOP).unwrap();
    assert!(status.success(), "{status}");
    let change = |name: &str, from: &str, to: &str| {
        let path = deployment.home.root.join("etc/maru").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    change("agent.toml", "# local = [", "local = [");
    change("gateway.toml", "names = [", &format!("origins = [{PAGE:?}]\nnames = ["));
    let (up, _) = deployment.home.up(&[], |_| {}, || Ok(())).unwrap();
    deployment.up = up;
}

/// Asks as a program of the home machine does.
fn ask(
    deployment: &Deployment,
    key: Option<&str>,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> http::Response<TcpStream> {
    let dial = || TcpStream::connect((Ipv4Addr::LOCALHOST, 18789));
    let stream = deployment.home.machine.in_network(dial).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bearer = key.map(|key| format!("Bearer {key}"));
    let bearer = bearer.as_deref().map(|text| ("Authorization", text));
    let headers: Vec<_> = headers.iter().copied().chain(bearer).collect();
    http::request(stream, method, path, HOST, &headers, body).unwrap()
}

/// Adds an app; its key.
fn add(deployment: &Deployment, name: &str) -> String {
    let text = deployment.home.ok(&["app", "add", name, "-o", "json"]).unwrap();
    let added: Value = serde_json::from_str(&text).unwrap();
    added["key"].as_str().unwrap().to_owned()
}

/// A long reply, as it begins.
fn long_reply(deployment: &Deployment, key: &str) -> http::Response<TcpStream> {
    let body = json!({
        "stream": true, "max_tokens": 7000, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Tell a long story." }],
    });
    let mut reply = ask(deployment, Some(key), ("POST", CHAT), &[], Some(&body.to_string()));
    assert_eq!(reply.status, 200, "{}", reply.head);
    while !reply.line().unwrap().expect("a reply").contains("\"content\":") {}
    reply
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_program_at_home_asks_with_its_key_until_that_is_removed() {
    let mut deployment = Deployment::start().unwrap();
    let told = deployment.home.ok(&["app", "list"]).unwrap();
    assert!(!told.contains("webui"), "{told}");
    open_the_door(&mut deployment);
    let (webui, home) = (add(&deployment, "webui"), add(&deployment, "home-assistant"));
    let short = json!({ "max_tokens": 4, "messages": [{ "role": "user", "content": "Hi" }] });
    let short = short.to_string();

    let answer = ask(&deployment, Some(&webui), ("POST", CHAT), &[], Some(&short));
    let (status, reply) = (answer.status, answer.json().unwrap());
    assert_eq!((status, &reply["object"]), (200, &json!("chat.completion")), "{reply}");
    for wrong in [None, Some("any-word"), Some(&*webui.to_uppercase())] {
        let answer = ask(&deployment, wrong, ("POST", CHAT), &[], Some(&short));
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        let (status, error) = (answer.status, answer.json().unwrap());
        assert_eq!((status, &error["error"]["code"]), (401, &json!("invalid_api_key")), "{error}");
    }
    assert_eq!(ask(&deployment, None, ("GET", "/healthz"), &[], None).status, 200);
    for path in ["/maru/v1/keys", "/maru/v1/devices", "/maru/v1/apps", "/metrics"] {
        assert_eq!(ask(&deployment, Some(&webui), ("GET", path), &[], None).status, 403, "{path}");
    }

    a_listed_page_is_let_in(&deployment, &webui, &short);

    let listed = deployment.home.ok(&["app", "list", "-o", "json"]).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["name"], "webui");
    assert!(listed[0]["last_used"].is_string() && listed[1]["last_used"].is_null(), "{listed}");
    assert!(!listed.to_string().contains("maru-app-"), "{listed}");

    let (mut reply, mut other) = (long_reply(&deployment, &webui), long_reply(&deployment, &home));
    deployment.home.ok(&["app", "remove", "webui"]).unwrap();
    loop {
        match reply.line() {
            Ok(Some(line)) => assert_ne!(line, "data: [DONE]", "a cut reply passed as whole"),
            Ok(None) => break,
            Err(error) => {
                let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
                assert_ne!(kind, Some(io::ErrorKind::WouldBlock), "it goes on");
                break;
            }
        }
    }
    assert!(other.line().unwrap().is_some(), "the other app's reply goes on");
    drop(other);
    assert_eq!(ask(&deployment, Some(&webui), ("POST", CHAT), &[], Some(&short)).status, 401);
    assert_eq!(ask(&deployment, Some(&home), ("POST", CHAT), &[], Some(&short)).status, 200);

    what_the_admin_gets_wrong_is_one_sentence(&deployment);
}

/// Its browser asks first, without the key.
fn a_listed_page_is_let_in(deployment: &Deployment, key: &str, body: &str) {
    let asks = [("Origin", PAGE), ("Access-Control-Request-Method", "POST")];
    let answer = ask(deployment, None, ("OPTIONS", CHAT), &asks, None);
    let allowed = format!("access-control-allow-origin: {PAGE}");
    assert!(answer.status == 204 && answer.head.contains(&allowed), "{}", answer.head);
    for (origin, status) in [(PAGE, 200), ("http://localhost:3001", 403), ("null", 403)] {
        let headers = [("Origin", origin)];
        let answer = ask(deployment, Some(key), ("POST", CHAT), &headers, Some(body));
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(answer.head.contains(&allowed), status == 200, "{}", answer.head);
    }
}

fn what_the_admin_gets_wrong_is_one_sentence(deployment: &Deployment) {
    for (args, words) in [
        (["app", "add", "home-assistant"], "already"),
        (["app", "add", "Web UI"], "an app's name has"),
        (["app", "remove", "webui"], "there is no such app"),
    ] {
        let out = deployment.home.run(&args).unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.trim().lines().count() == 1, "{said}");
    }
}
