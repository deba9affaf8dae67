//! What a stranger sees who reads along on the router.
//!
//! Fails if a prompt or a reply can be read there, or if a byte flows on a port that the design
//! does not list. The same search over the laptop's tunnel finds what is meant to be readable
//! inside it (the OpenAI-compatible interface), so that it is known to search.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use lab::{Machine, Process, Scene, http};
use rustix::process::Signal;

const SEALED: &str = "kumquat-4417-sealed";
const PLAIN: &str = "kumquat-5528-plain";

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

fn holds(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
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

    laptop.ok(&["chat", "--max-tokens", "20", "--ask", SEALED]).unwrap();

    let body = serde_json::json!({
        "model": "default", "max_tokens": 30, "ignore_eos": true,
        "messages": [{ "role": "user", "content": PLAIN }],
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
    let reply = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let reply = reply.lines().max_by_key(|line| line.len()).unwrap();
    // As it stands in JSON, up to the first character that JSON writes otherwise.
    let reply = reply.split(|c: char| !c.is_ascii() || c == '"' || c == '\\').next().unwrap();
    assert!(reply.len() > 8, "too short to search for: {reply:?}");

    finish(on_tun);
    finish(on_router);
    let router_file = router.path("/run/home0.pcap");
    let tun_file = laptop.machine.path(&format!("/run/{tun}.pcap"));

    assert!(holds(&tun_file, PLAIN), "the search finds what is readable inside the tunnel");
    assert!(holds(&tun_file, reply), "the reply {reply:?} is readable inside the tunnel");
    assert!(!holds(&tun_file, SEALED), "a sealed prompt is not readable inside the tunnel");
    for secret in [PLAIN, reply, SEALED] {
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
