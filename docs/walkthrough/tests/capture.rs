//! What a stranger sees who reads along on the router.
//!
//! Fails if a prompt or a reply can be read there, as it is or encoded, or if a byte flows on a port
//! that the design does not list. Fails if a sealed prompt or reply can be read even inside the
//! laptop's tunnel. The same search finds there what is meant to be readable (the OpenAI-compatible
//! interface), and what was encoded on purpose, so that it is known to search.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use lab::{Machine, Process, Scene, http};
use rustix::process::Signal;

const SEALED: &str = "kumquat-4417-sealed";
const PLAIN: &str = "kumquat-5528-plain";
/// Sent in base64 on purpose, with the given number of bytes before it.
const ENCODED: [&str; 3] = ["kumquat-6630-encoded", "kumquat-6631-encoded", "kumquat-6632-encoded"];
/// What a reply's events would show if they were not sealed.
const EVENT: &str = "\"delta\":\"";

/// Captures everything on an interface into a file of the machine's own `/run`.
fn capture(machine: &Machine, interface: &str) -> Process {
    let script =
        format!("exec tcpdump --immediate-mode -i {interface} -s 0 -U -w /run/{interface}.pcap");
    let mut command = machine.command("bash");
    command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
    let process = machine.spawn(&mut command).unwrap();
    let file = machine.path(&format!("/run/{interface}.pcap"));
    // The file's header is written when the capture has begun.
    while fs::metadata(&file).map_or(0, |file| file.len()) < 24 {
        thread::sleep(Duration::from_millis(20));
    }
    process
}

fn finish(mut capture: Process) {
    thread::sleep(Duration::from_secs(1));
    capture.signal(Signal::INT);
    capture.wait_for(Duration::from_secs(10)).unwrap().expect("tcpdump ends");
}

/// A text in the forms in which it would still be no secret: itself, hex, and base64 in both
/// alphabets wherever in a longer text it begins.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![text.into(), hex::encode(text).into(), hex::encode_upper(text).into()];
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], text.as_bytes()].concat());
        // What depends on the bytes before and after is left out.
        let whole = (before + text.len()) * 4 / 3;
        let encoded = &encoded[(before * 4).div_ceil(3)..whole];
        forms.push(encoded.into());
        forms.push(encoded.replace('+', "-").replace('/', "_").into());
    }
    forms
}

fn holds(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).unwrap();
    let forms = forms(text);
    (0..bytes.len()).any(|at| forms.iter().any(|form| bytes[at..].starts_with(form)))
}

/// The longest piece of a text that stands the same in JSON.
fn searchable(text: &str) -> &str {
    let pieces = text.split(|c: char| !c.is_ascii() || c.is_ascii_control() || "\"\\".contains(c));
    let piece = pieces.max_by_key(|piece| piece.len()).unwrap();
    assert!(piece.len() > 8, "too short to search for: {text:?}");
    piece
}

#[test]
fn the_search_finds_every_form_wherever_it_begins() {
    let file = std::env::temp_dir().join(format!("maru-capture-{}", std::process::id()));
    for before in 0..9 {
        let text = [&vec![b'x'; before], PLAIN.as_bytes(), b"\xff?~ after"].concat();
        for encoded in [
            text.clone(),
            hex::encode(&text).into(),
            STANDARD_NO_PAD.encode(&text).into(),
            base64::engine::general_purpose::URL_SAFE.encode(&text).into(),
        ] {
            fs::write(&file, &encoded).unwrap();
            assert!(holds(&file, PLAIN), "{before}: {}", String::from_utf8_lossy(&encoded));
            assert!(!holds(&file, SEALED));
        }
    }
    fs::remove_file(file).unwrap();
}

#[test]
#[ignore = "needs: root, podman, model"]
fn the_router_sees_neither_prompt_nor_reply_and_only_the_listed_ports() {
    let mut scene = Scene::start().unwrap();
    let router = scene.household.router.clone();
    let on_router = capture(&router, "home0");
    let device = scene.member("laptop", "alice").unwrap();
    let laptop = &device.seat;
    let tun = laptop.machine.sh("ip -o link | grep -o 'maru[0-9a-f]*' | head -1").unwrap();
    let tun = tun.trim().to_owned();
    let on_tun = capture(&laptop.machine, &tun);

    // A sealed prompt and its reply, token by token; then both again in one piece, as history.
    let ask = ["chat", "--ignore-eos", "--max-tokens", "30", "--ask", SEALED];
    laptop.ok(&ask).unwrap();
    let history = laptop.ok(&["chat", "--history", "-o", "json"]).unwrap();
    let said = history.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let said: Vec<_> = said.map(|event| event["message"].clone()).collect();
    assert_eq!(said[0]["content"], SEALED, "{history}");
    assert_eq!(said[1]["role"], "assistant", "{history}");
    let sealed_reply = searchable(said[1]["content"].as_str().unwrap());

    let encoded = ENCODED
        .iter()
        .enumerate()
        .map(|(before, text)| STANDARD_NO_PAD.encode(format!("{}{text}", "x".repeat(before))));
    let prompt = format!("{PLAIN} {}", encoded.collect::<Vec<_>>().join(" "));
    let body = serde_json::json!({
        "model": "default", "max_tokens": 30, "ignore_eos": true,
        "messages": [{ "role": "user", "content": prompt }],
    });
    let host = "chat.maru.internal:18789";
    let answer = http::request(
        laptop.dial(18789).unwrap(),
        "POST",
        "/v1/chat/completions",
        host,
        &[],
        Some(&body.to_string()),
    );
    let answer = answer.unwrap().json().unwrap();
    let plain_reply = searchable(answer["choices"][0]["message"]["content"].as_str().unwrap());

    finish(on_tun);
    finish(on_router);
    let router_file = router.path("/run/home0.pcap");
    let tun_file = laptop.machine.path(&format!("/run/{tun}.pcap"));

    for readable in [PLAIN, plain_reply].iter().chain(&ENCODED) {
        assert!(holds(&tun_file, readable), "{readable:?} is readable inside the tunnel");
    }
    assert!(holds(&router_file, "/ts2021"), "what is not sealed on the router is found there");
    for sealed in [SEALED, sealed_reply, EVENT] {
        assert!(!holds(&tun_file, sealed), "the tunnel shows {sealed:?}, which was sealed");
    }
    for secret in [PLAIN, plain_reply, SEALED, sealed_reply, EVENT].iter().chain(&ENCODED) {
        assert!(!holds(&router_file, secret), "the router saw {secret:?}");
    }

    let listed = "port 8443 or port 8444 or port 3478 or port 41641";
    let count = |filter: &str| {
        let text = router
            .sh(&format!("tcpdump -nn -r /run/home0.pcap '{filter}' 2>/dev/null || true"))
            .unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(count(&format!("(tcp or udp) and not ({listed})")), Vec::<String>::new());
    assert!(!count("udp port 41641").is_empty(), "nothing went through the tunnel directly");
}
