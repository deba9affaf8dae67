use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use chassis::unix::Access;
use common::problem::Problem;
use messages::Language;
use node_agent_core::netmap::Netmap;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::*;
use crate::{
    agent::{InterfaceState, Progress},
    config::{Config, Paths},
    state::State,
};

fn agent(root: &Path) -> Arc<Agent> {
    let state = State::generate().unwrap();
    Arc::new(Agent::new(Config::default(), Paths::new(root), state, Netmap::default()))
}

fn join(url: &str, key: Option<&str>) -> Join {
    Join { url: url.to_owned(), key: key.map(str::to_owned), hostname: None, ca: None }
}

fn invitation(byte: u8) -> String {
    format!("maru://home:8443/join#1.{}.{}", format!("{byte:02x}").repeat(32), auth_key())
}

fn auth_key() -> String {
    format!("marukey-{}", "5e".repeat(24))
}

/// Status line and body of an answer to one request.
async fn ask(socket: &Path, request: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: maru\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

struct Serving {
    root: tempfile::TempDir,
    socket: std::path::PathBuf,
    commands: mpsc::Receiver<Command>,
}

fn serving() -> Serving {
    serving_with(Timeouts::default())
}

fn serving_with(timeouts: Timeouts) -> Serving {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let socket = agent.paths.socket();
    let listener = Socket::bind(&socket, Access::Everyone).unwrap();
    let (sender, commands) = mpsc::channel(1);
    tokio::spawn(serve(listener, Api::new(agent, sender, "maru0".to_owned()), timeouts));
    Serving { root, socket, commands }
}

#[tokio::test]
async fn a_node_runs_once_the_interface_has_all_its_addresses() {
    use node_agent_api::State::{Joining, Running};
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let nets = ["100.64.0.2/32", "fd7a:115c:a1e0::2/128"].map(|net| net.parse().unwrap());
    let node = control_protocol::map::Node { addresses: nets.to_vec(), ..Default::default() };
    let map = control_protocol::map::MapResponse { node: Some(node), ..Default::default() };
    assert!(agent.apply_map(map, true));
    agent.progress.send_replace(Progress::member(true));
    let [v4, v6] = nets.map(|net: ipnet::IpNet| net.addr());
    let standing = |interface| {
        agent.interface.send_replace(interface);
        let status = status::of(&agent);
        (status.state, status.problem)
    };

    assert_eq!(status::of(&agent).state, Joining);
    assert_eq!(standing(InterfaceState::Configured(vec![v4])), (Joining, None));
    assert_eq!(standing(InterfaceState::Configured(vec![v4, v6])), (Running, None));
    let why = "cannot add the address".to_owned();
    assert_eq!(standing(InterfaceState::Failed(why.clone())), (Joining, Some(why)));
}

#[tokio::test]
async fn anyone_may_read_the_status() {
    let serving = serving();
    let mode = fs::metadata(&serving.socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o666);
    let request = "GET /v1/status HTTP/1.1\r\nhost: maru\r\nconnection: close\r\n\r\n";
    let (head, body) = ask(&serving.socket, request).await;
    assert_eq!(head, "HTTP/1.1 200 OK");
    let status: Status = serde_json::from_str(&body).unwrap();
    assert_eq!(status.state, node_agent_api::State::NeedsJoin);
    drop(serving.root);
}

#[tokio::test]
async fn who_is_no_node_finds_nobody_and_pauses_nothing() {
    let mut serving = serving();
    let root = rustix::process::getuid().is_root();
    for (path, kind) in [
        ("/v1/ping/phone", "not-a-node"),
        ("/v1/pause", if root { "not-a-node" } else { "not-root" }),
        ("/v1/resume", if root { "not-a-node" } else { "not-root" }),
    ] {
        let (_, body) = ask(&serving.socket, &post(path, "")).await;
        let problem: Problem = serde_json::from_str(&body).unwrap();
        assert!(problem.is(kind) && problem.message.is_some(), "{path}: {problem:?}");
    }
    let request = "GET /v1/whois/%1b%5b2Jphone HTTP/1.1\r\nhost: maru\r\nconnection: close\r\n\r\n";
    let (head, body) = ask(&serving.socket, request).await;
    assert!(head.contains("409") && !body.contains('\u{1b}'), "{head} {body}");
    assert!(serving.commands.try_recv().is_err(), "nothing was asked of the agent");
}

#[tokio::test]
async fn a_wrong_body_is_a_problem_that_says_so() {
    let mut serving = serving();
    for (path, body, status, kind) in [
        ("/v1/join", r#"{"url":"http://a","kye":"x"}"#, "422", "request"),
        ("/v1/join", "{", "400", "request"),
        ("/v1/join", r#"{"url":"ftp://a"}"#, "422", "invitation"),
        ("/v1/other", "{}", "404", "not-found"),
    ] {
        let (head, body) = ask(&serving.socket, &post(path, body)).await;
        let problem: Problem = serde_json::from_str(&body).unwrap();
        let root = rustix::process::getuid().is_root();
        let kind = if root || kind == "not-found" { kind } else { "not-root" };
        assert!(problem.is(kind), "{problem:?}");
        assert!(!root || head.contains(status), "{head}");
        assert!(problem.message.is_some() && !problem.to_string().contains('\n'), "{problem}");
    }
    assert!(serving.commands.try_recv().is_err(), "nothing was asked of the agent");
}

#[tokio::test]
#[ignore = "needs: root"]
async fn root_may_join_and_the_answer_does_not_wait() {
    let mut serving = serving();
    let body = serde_json::to_string(&join(&invitation(1), None)).unwrap();
    let request = post("/v1/join", &body);
    let asked = ask(&serving.socket, &request);
    let taken = async {
        let Some(Command::Join(membership, _done)) = serving.commands.recv().await else {
            panic!("the agent is asked to join");
        };
        membership
    };
    let ((head, _), membership) = tokio::join!(asked, taken);
    assert_eq!(head, "HTTP/1.1 202 Accepted");
    assert_eq!(membership.auth_key, Some(auth_key()));
}

#[test]
fn only_root_may_change_anything() {
    assert!(Caller { uid: 0 }.must_be_root().is_ok());
    assert!(Caller { uid: 1000 }.must_be_root().is_err());
}

#[test]
fn a_device_that_belongs_to_a_network_joins_no_other() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let mut current = membership(&agent, join(&invitation(1), None)).unwrap();
    current.registered = true;
    agent.change_state(|state| state.membership = Some(current));

    let Err(Refused::Joined(other)) = membership(&agent, join(&invitation(2), None)) else {
        panic!("the invitation is for another coordinator");
    };
    let advice = other.attribute("detail", Language::English).unwrap();
    assert!(advice.contains("another coordinator"), "{advice}");
    let Err(Refused::Joined(same)) = membership(&agent, join(&invitation(1), None)) else {
        panic!("the device belongs to it already");
    };
    assert!(same.to_string().contains("already"), "{same}");
}

#[test]
fn one_pre_auth_key_is_enough() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let plain = membership(&agent, join("http://home:8443", Some("sesame"))).unwrap();
    assert_eq!(plain.auth_key.as_deref(), Some("sesame"));
    assert!(membership(&agent, join(&invitation(1), Some("other"))).is_err());
}

#[test]
fn authorities_are_for_a_coordinator_behind_https() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let https = invitation(1).replace("maru://", "https://");
    let ca = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap().cert.pem();
    let with = |url: &str, ca: &str| Join { ca: Some(ca.to_owned()), ..join(url, None) };

    assert_eq!(membership(&agent, join(&https, None)).unwrap().server_url, "https://home:8443");
    assert_eq!(membership(&agent, with(&https, &ca)).unwrap().ca, Some(ca.clone()));
    for (join, said) in [
        (with(&https, "none"), "holds no certificate"),
        (with("http://home", &ca), "leave out --ca"),
    ] {
        let Err(Refused::Invitation(text)) = membership(&agent, join) else { panic!("{said}") };
        let text = text.to_string();
        assert!(text.contains(said) && !text.contains(&auth_key()), "{text}");
    }
}

const STATUS_REQUEST: &str = "GET /v1/status HTTP/1.1\r\nhost: maru\r\n\r\n";

#[tokio::test]
async fn one_user_cannot_take_every_connection() {
    let serving = serving();
    let mut held = Vec::new();
    for _ in 0..PER_USER {
        held.push(UnixStream::connect(&serving.socket).await.unwrap());
    }
    let mut next = UnixStream::connect(&serving.socket).await.unwrap();
    let read = next.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");

    drop(held);
    // The others are noticed to have gone as soon as the agent looks.
    let asked = async {
        loop {
            let mut stream = UnixStream::connect(&serving.socket).await.unwrap();
            let _ = stream.write_all(STATUS_REQUEST.as_bytes()).await;
            let mut answer = String::new();
            if stream.read_to_string(&mut answer).await.is_ok() && !answer.is_empty() {
                return answer;
            }
        }
    };
    let answer = timeout(Duration::from_secs(30), asked).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn who_says_nothing_or_half_of_it_is_let_go() {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(3600));
    let cases = [
        ("", Timeouts { head: short, whole: long }),
        ("GET /v1/sta", Timeouts { head: short, whole: long }),
        (
            "POST /v1/join HTTP/1.1\r\nhost: maru\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
            Timeouts { head: long, whole: short },
        ),
    ];
    for (said, timeouts) in cases {
        let serving = serving_with(timeouts);
        let mut stream = UnixStream::connect(&serving.socket).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let ended = timeout(Duration::from_secs(60), stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{said:?}");
    }
}
