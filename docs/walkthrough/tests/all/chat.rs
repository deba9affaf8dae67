//! The trip of `chat.md`: an approved laptop asks, the model at home answers, token by token.
//!
//! Fails if a reply is held back until it is whole, if a client that leaves goes unnoticed, or if
//! one of the two suites or the two plain interfaces is broken. Blind to what the model says.

use std::{
    collections::BTreeMap, io::Read as _, net::TcpStream, process::Stdio, sync::mpsc, thread,
    time::Duration,
};

use lab::{Deployment, Instance};
use rustix::process::Signal;
use testkit::blocking::{eventually, eventually_within, http};

/// Where the OpenAI-compatible interface is.
const HOST: &str = "chat.maru.home.arpa:18789";

/// The primary engine among the home's processes.
const ENGINE: (&str, &str) = ("maru-llm", "run/maru/inference/");

/// More tokens than an engine makes while a client begins to read and in the second after it left.
const FAR: u64 = 500;
/// More than it makes in the second after a client left; where it is slower it makes fewer.
const SOON: u64 = 200;

fn ask(instance: &Instance, stream: bool, max_tokens: u32) -> http::Response<TcpStream> {
    let body = serde_json::json!({
        "model": "default", "stream": stream, "max_tokens": max_tokens, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Hello!" }],
    });
    let (connection, body) = (instance.dial(18789).unwrap(), body.to_string());
    http::request(connection, "POST", "/v1/chat/completions", HOST, &[], Some(&body)).unwrap()
}

/// The tokens of the one reply that the engine is making; `None` once it makes none.
fn decoded(deployment: &Deployment) -> Option<u64> {
    let slots = deployment.generating("inference").unwrap();
    slots.first().map(|slot| slot["n_decoded"].as_u64().unwrap())
}

/// Requires that the generation ends soon: whoever it was for has left.
fn ends_soon(deployment: &Deployment, who: &str) {
    let Some(before) = decoded(deployment) else { return };
    eventually(&format!("the end of the reply that {who} left"), || {
        let now = decoded(deployment);
        let more = now.map_or(0, |now| now.saturating_sub(before));
        assert!(more < SOON, "{who} left {more} tokens ago");
        now.is_none()
    });
}

/// Requires that the first word is printed while the engine stands still after its first tokens.
fn the_first_token_is_printed_before_the_next_ones_exist(
    deployment: &Deployment,
    laptop: &Instance,
) {
    let mut command = laptop.maru(&["chat", "--ignore-eos", "--max-tokens", "7000"]);
    // The likeliest words of this model to this have no line end, which alone would be a flush.
    command.args(["--temperature", "0", "--ask", "Tell a long story."]).stdin(Stdio::null());
    let mut chat = laptop.machine.spawn(command.stdout(Stdio::piped())).unwrap();
    let decoded = || decoded(deployment).unwrap_or(0);
    // A few, so that the first has left the engine; far fewer than fill a buffer.
    while decoded() < 6 {
        assert_eq!(chat.wait_for(Duration::ZERO).unwrap(), None, "no reply begins");
    }
    deployment.signal(ENGINE.0, ENGINE.1, Signal::STOP).unwrap();
    let mut out = chat.child().stdout.take().unwrap();
    let (sender, first) = mpsc::channel();
    thread::spawn(move || sender.send(out.read_exact(&mut [0]).map(|()| out)));
    let first = first.recv_timeout(Duration::from_secs(60));
    deployment.signal(ENGINE.0, ENGINE.1, Signal::CONT).unwrap();
    let _out = first.expect("the first token waits for others").unwrap();
    let decoded = decoded();
    assert!((1..FAR).contains(&decoded), "the engine was at token {decoded} of 7000");
    chat.signal_kill();
    ends_soon(deployment, "the client");
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_reply_is_printed_while_the_model_still_speaks_and_stops_when_its_reader_leaves() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;
    assert_eq!(deployment.busy_slots("inference").unwrap(), 0);
    the_first_token_is_printed_before_the_next_ones_exist(&deployment, laptop);

    // The client goes: so does the generation.
    let chat = laptop.long_chat().unwrap();
    assert_eq!(
        deployment.busy_slots("inference").unwrap(),
        1,
        "the first delta is printed before the reply is whole"
    );
    chat.signal_kill();
    ends_soon(&deployment, "the client");

    let mut stream = ask(laptop, true, 7000);
    while !stream.line().unwrap().expect("the reply goes on").starts_with("data: {") {}
    assert_eq!(deployment.busy_slots("inference").unwrap(), 1);
    drop(stream);
    ends_soon(&deployment, "the client of the plain interface");

    // The client stays: so does the generation, far beyond where it ended above.
    let _chat = laptop.long_chat().unwrap();
    eventually_within(Duration::from_secs(120), "the generation goes on", || {
        let slots = deployment.generating("inference").unwrap();
        let slot = slots.first().expect("the control run ended by itself: the test proves nothing");
        slot["n_decoded"].as_u64().unwrap() > FAR
    });
}

/// What was sent by TCP over IPv4 in a capture of a tunnel, connection by connection.
fn sent(capture: &[u8]) -> Vec<u8> {
    let (mut rest, mut pieces) = (&capture[24..], BTreeMap::new());
    while let Some((record, after)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(record[8..12].try_into().unwrap());
        let (packet, after) = after.split_at(length.try_into().unwrap());
        rest = after;
        assert_eq!((packet[0] >> 4, packet[9]), (4, 6), "not TCP over IPv4");
        let (end, tcp) = (u16::from_be_bytes([packet[2], packet[3]]), &packet[20..]);
        let data = &packet[20 + usize::from(tcp[12] >> 4) * 4..usize::from(end)];
        // By port and sequence number: a repetition takes the place of its first try.
        pieces.insert((tcp[..2].to_vec(), tcp[4..8].to_vec()), data);
    }
    pieces.into_values().flatten().copied().collect()
}

/// How many bytes the key is encapsulated to in a chat that a client begins with these arguments,
/// read from what it sends into the tunnel.
fn encapsulated_bytes(laptop: &Instance, args: &[&str]) -> usize {
    let tun = laptop.machine.sh("ip -o link | grep -o 'maru[0-9a-f]*' | head -1").unwrap();
    let mut command = laptop.machine.command("tcpdump");
    command.args(["--immediate-mode", "-i", tun.trim(), "-s", "0", "-U", "-w", "-"]);
    command.arg("ip and tcp dst port 80").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tcpdump = laptop.machine.spawn(&mut command).unwrap();
    let mut out = tcpdump.child().stdout.take().unwrap();
    let mut capture = vec![0; 24];
    // The file's header is written when the capture has begun.
    out.read_exact(&mut capture).unwrap();
    let said = laptop.ok(&[&["chat", "--max-tokens", "12", "--ask", "Hello!"], args].concat());
    assert!(!said.unwrap().trim().is_empty(), "{args:?}");
    tcpdump.signal(Signal::INT);
    out.read_to_end(&mut capture).unwrap();
    tcpdump.wait_for(Duration::from_secs(60)).unwrap().expect("tcpdump ends");

    let sent = String::from_utf8_lossy(&sent(&capture)).into_owned();
    let (_, key) = sent.split_once("\"encapsulated_key\":\"").expect("no sealed request");
    // base64url without padding.
    key.split_once('"').unwrap().0.len() * 3 / 4
}

#[test]
#[ignore = "needs: root, podman, model"]
fn every_way_to_ask_is_answered() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;

    // X-Wing encapsulates to 1120 bytes (1088 of ML-KEM-768, 32 of X25519), X25519 alone to 32.
    for (args, bytes) in
        [(&[][..], 1120), (&["--suite", "x-wing"], 1120), (&["--suite", "x25519"], 32)]
    {
        assert_eq!(encapsulated_bytes(laptop, args), bytes, "{args:?}");
    }

    let models =
        http::request(laptop.dial(18789).unwrap(), "GET", "/v1/models", HOST, &[], None).unwrap();
    assert_eq!(models.status, 200);
    assert!(models.json().unwrap()["data"].as_array().is_some_and(|models| !models.is_empty()));

    let whole = ask(laptop, false, 5);
    assert_eq!(whole.status, 200);
    let whole = whole.json().unwrap();
    assert_eq!(whole["usage"]["completion_tokens"], 5, "{whole}");
    let streamed = ask(laptop, true, 5).body().unwrap();
    assert!(streamed.lines().filter(|line| line.starts_with("data: {")).count() > 1, "{streamed}");
    assert!(streamed.trim_end().ends_with("data: [DONE]"), "{streamed}");

    // Who runs the house sees how much that was: three sealed chats and two others.
    let used = deployment.home.ok(&["usage", "-o", "json"]).unwrap();
    let used: serde_json::Value = serde_json::from_str(&used).unwrap();
    let sum = |what: &str| {
        let rows = used.as_array().unwrap().iter().filter(|row| row["name"] == "alice");
        rows.map(|row| row[what].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(sum("requests"), 5, "{used}");
    assert!(sum("prompt_tokens") > 5 && sum("reply_tokens") > 10, "{used}");

    let named = laptop.machine.sh("getent -s dns hosts chat.maru.home.arpa || true").unwrap();
    let address = laptop.status().unwrap()["gateway"]["addresses"].clone();
    assert!(
        address.as_array().unwrap().iter().any(|a| named.starts_with(a.as_str().unwrap())),
        "chat.maru.home.arpa is {named:?}, should be one of {address}"
    );
}
