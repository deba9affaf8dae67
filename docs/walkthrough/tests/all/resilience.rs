//! What goes on when a part stops.
//!
//! Fails if a reply that broke off passes as whole, if the next message is not answered, or if the
//! network needs its coordinator to keep going.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use lab::{BIN, Deployment, Instance, Process};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::blocking::{eventually_within, http};

const PRIMARY: &str = "llamacpp/default";
const FALLBACK: &str = "spare/default";
/// Where telmeet is, and where the gateway is.
const SERVICES: [(u16, &str); 2] =
    [(80, "chat.maru.home.arpa"), (18789, "chat.maru.home.arpa:18789")];

fn is_well(stream: Option<impl Read + Write>, path: &str, host: &str) -> bool {
    let answer = stream.and_then(|stream| http::request(stream, "GET", path, host, &[], None).ok());
    answer.is_some_and(|answer| answer.status == 200)
}

/// Waits until both engines, and both services as this device reaches them, say that they are well.
fn wait_until_all_is_well(deployment: &Deployment, instance: &Instance) {
    let engine = |name| {
        let socket = deployment.home.root.join(format!("run/maru/{name}/llm.sock"));
        is_well(UnixStream::connect(socket).ok(), "/health", "localhost")
    };
    let service = |(port, host)| {
        let stream = instance.dial(port).ok();
        let limited = stream.filter(|it| it.set_read_timeout(Some(Duration::from_secs(5))).is_ok());
        is_well(limited, "/healthz", host)
    };
    eventually_within(Duration::from_secs(60), "all is well", || {
        ["inference", "inference-2"].into_iter().all(engine) && SERVICES.into_iter().all(service)
    });
}

/// Asks once, and returns which model answered.
fn answers(instance: &Instance, args: &[&str]) -> String {
    let ask = ["chat", "-o", "json", "--max-tokens", "8", "--ask", "Hello!"];
    let text = instance.ok(&[&ask, args].concat()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["delta"].as_str().is_some_and(|it| !it.is_empty())));
    events.iter().find_map(|event| event["model"].as_str()).unwrap().to_owned()
}

/// Begins a reply of the plain interface that would go on for a minute or more.
fn long_stream(instance: &Instance, model: &str) -> http::Response<TcpStream> {
    let body = json!({
        "model": model, "stream": true, "max_tokens": 7000, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Tell a long story." }],
    });
    let (port, host) = SERVICES[1];
    let stream = instance.dial(port).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    let body = body.to_string();
    let mut answer =
        http::request(stream, "POST", "/v1/chat/completions", host, &[], Some(&body)).unwrap();
    assert_eq!(answer.status, 200);
    let is_delta = |line: &str| line.contains("\"content\":") && !line.contains("\"content\":\"\"");
    while !is_delta(&answer.line().unwrap().expect("no reply begins")) {}
    answer
}

/// Reads to the end of a reply of the plain interface that must not pass as whole.
fn broken_stream(who: &str, mut answer: http::Response<TcpStream>) {
    loop {
        match answer.line() {
            Ok(Some(line)) => {
                assert_ne!(line, "data: [DONE]", "{who}: a cut reply passed as whole")
            }
            Ok(None) => return,
            Err(error) => {
                let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
                assert_ne!(kind, Some(io::ErrorKind::WouldBlock), "{who}: nobody notices");
                return;
            }
        }
    }
}

/// Waits for a chat that broke off; it must say so.
fn broken_chat(who: &str, mut chat: Process) {
    let mut reader = chat.child().stdout.take().unwrap();
    thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
    let status = chat.wait_for(Duration::from_secs(90)).unwrap();
    let status = status.unwrap_or_else(|| panic!("{who} ended and the client does not notice"));
    let mut said = String::new();
    chat.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{who}: a cut reply passed as whole: {said}");
    assert!(said.contains("cut"), "{who} ended; the client says: {said}");
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_dead_model_is_replaced_by_the_next_and_all_dead_is_said() {
    let mut deployment = Deployment::start().unwrap();
    let laptop = deployment.member("laptop", "alice").unwrap();
    assert_eq!(answers(&laptop.instance, &[]), PRIMARY);

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // The supervisor starts an engine again; this keeps it down.
        let keep_down = |engine: &'static str| {
            let (stop, deployment) = (&stop, &deployment);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let _ = deployment.crash("maru-llm", &format!("run/maru/{engine}/"));
                    thread::sleep(Duration::from_millis(20));
                }
            });
            eventually_within(Duration::from_secs(10), "down", || {
                deployment.busy_slots(engine).is_err()
            });
        };
        keep_down("inference");
        let model = answers(&laptop.instance, &[]);
        keep_down("inference-2");
        let out = laptop.instance.run(&["chat", "--ask", "Hello!"]).unwrap();
        stop.store(true, Ordering::SeqCst);

        assert_eq!(model, FALLBACK);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{text}");
        for part in ["No model answers", PRIMARY, FALLBACK, "`maru doctor`"] {
            assert!(text.contains(part), "says what happened and what to do: {text}");
        }
    });
    wait_until_all_is_well(&deployment, &laptop.instance);
    assert_eq!(answers(&laptop.instance, &[]), PRIMARY);
}

#[test]
#[ignore = "needs: root, podman, model"]
fn whoever_restarts_no_cut_reply_passes_as_whole_and_the_next_message_is_answered() {
    let mut deployment = Deployment::start().unwrap();
    let mut laptop = deployment.member("laptop", "alice").unwrap();
    // One person alone has one reply at a time.
    let desktop = deployment.member("desktop", "bob").unwrap();
    for (name, text, signal, model) in [
        ("maru-llm", "run/maru/inference/", Signal::KILL, PRIMARY),
        ("maru-llm", "run/maru/inference-2/", Signal::KILL, FALLBACK),
        ("maru-gateway", "", Signal::KILL, PRIMARY),
        ("maru-gateway", "", Signal::TERM, PRIMARY),
        ("maru-telmeet", "", Signal::KILL, PRIMARY),
        ("maru-agent", "", Signal::KILL, PRIMARY),
    ] {
        let who = format!("{name} {text} ({signal:?})");
        let chat = laptop.instance.long_chat_with(&["--model", model]).unwrap();
        // telmeet has no part in the plain interface.
        let stream = (name != "maru-telmeet").then(|| long_stream(&desktop.instance, model));
        deployment.signal(name, text, signal).unwrap();
        broken_chat(&who, chat);
        if let Some(stream) = stream {
            broken_stream(&who, stream);
        }
        wait_until_all_is_well(&deployment, &laptop.instance);
        assert_eq!(answers(&laptop.instance, &["--model", model]), model, "{who}");
    }

    let mut chat = laptop.instance.long_chat().unwrap();
    laptop.agent.signal_kill();
    laptop.agent.wait_for(Duration::from_secs(60)).unwrap();
    laptop.agent = laptop.instance.agent().unwrap();
    // The connection outlives its own agent's restart: the reply goes on where it was.
    let mut out = chat.child().stdout.take().unwrap();
    let (sender, more) = mpsc::channel();
    thread::spawn(move || sender.send(out.read_exact(&mut [0; 200]).is_ok()));
    let went_on = more.recv_timeout(Duration::from_secs(60));
    assert_eq!(went_on, Ok(true), "the own agent restarted and the reply did not go on");
    drop(chat);
    assert_eq!(answers(&laptop.instance, &[]), PRIMARY);
}

/// All that registering would change, and how often it was asked for.
fn registrations(home: &Instance) -> (Value, Value, usize) {
    let list = |what| serde_json::from_str(&home.ok(&[what, "list", "-o", "json"]).unwrap());
    let mut devices: Value = list("device").unwrap();
    for device in devices.as_array_mut().unwrap() {
        // These follow the connections.
        device
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !["online", "last_seen", "endpoints"].contains(&name.as_str()));
    }
    let log = fs::read_to_string(home.root.join("var/log/maru/coordinator.log")).unwrap();
    let asked = log.lines().filter(|line| line.contains("registration decided")).count();
    assert!(asked >= 2, "the log does not count registrations: {log}");
    (devices, list("key").unwrap(), asked)
}

fn is_connected(instance: &Instance) -> bool {
    instance.status().unwrap()["coordinator"]["connected"] == true
}

/// How old the tunnel's session keys are.
fn age(instance: &Instance) -> Option<u64> {
    let peers = instance.status().unwrap()["peers"].as_array().unwrap().clone();
    peers.iter().filter_map(|peer| peer["last_handshake_s"].as_u64()).min()
}

#[test]
#[ignore = "needs: root, podman, model"]
fn the_network_lives_on_without_its_coordinator() {
    let mut deployment = Deployment::start().unwrap();
    let mut laptop = deployment.member("laptop", "alice").unwrap();
    answers(&laptop.instance, &[]);
    let before = registrations(&deployment.home);

    // It stays down however often it is started again.
    let program = format!("{BIN}/maru-coordinator");
    deployment.home.machine.sh(&format!("mount --bind /bin/false {program}")).unwrap();
    deployment.crash("maru-coordinator", "serve").unwrap();

    // WireGuard makes new session keys every two minutes; the next handshake needs no coordinator.
    let deadline = Instant::now() + Duration::from_secs(200);
    let (mut oldest, mut rekeyed) = ([0; 2], [false; 2]);
    while rekeyed != [true; 2] {
        answers(&laptop.instance, &[]);
        for (at, instance) in [&laptop.instance, &deployment.home].into_iter().enumerate() {
            let now = age(instance).unwrap();
            rekeyed[at] |= oldest[at] > 60 && now < oldest[at];
            oldest[at] = oldest[at].max(now);
        }
        assert!(Instant::now() < deadline, "no new handshake for {oldest:?} s: {rekeyed:?}");
        thread::sleep(Duration::from_secs(3));
    }

    // As a power cut would end it: the map was stored when it came.
    laptop.agent.signal_kill();
    laptop.agent.wait_for(Duration::from_secs(60)).unwrap().expect("the agent ends");
    laptop.agent = laptop.instance.agent().unwrap();
    let reached = || laptop.instance.dial(SERVICES[0].0).is_ok();
    eventually_within(Duration::from_secs(30), "the home node is reached", reached);
    answers(&laptop.instance, &[]);
    assert!(
        ![&laptop.instance, &deployment.home].into_iter().any(is_connected),
        "to no coordinator"
    );

    deployment.home.machine.sh(&format!("umount {program}")).unwrap();
    eventually_within(Duration::from_secs(120), "both agents are connected", || {
        [&laptop.instance, &deployment.home].into_iter().all(is_connected)
    });
    assert_eq!(registrations(&deployment.home), before, "someone registered again");
}
