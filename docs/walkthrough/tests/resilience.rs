//! What goes on when a part stops.
//!
//! Fails if a reply that broke off passes as whole, if the next message is not answered, or if the
//! network needs its coordinator to keep going.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]

use std::{
    io::Read as _,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use lab::{BIN, Process, Scene, Seat};

const SHORT: &[&str] = &["chat", "--max-tokens", "8", "--ask", "Hello!"];

/// Waits until a chat is answered; for at most a minute.
fn answers_again(seat: &Seat) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let out = seat.run(SHORT).unwrap();
        if out.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(Instant::now() < deadline, "no answer any more: {said}");
        thread::sleep(Duration::from_millis(300));
    }
}

/// Waits for a chat that broke off, and returns what it said of that.
fn broken(who: &str, mut chat: Process) -> String {
    let mut reader = chat.child().stdout.take().unwrap();
    thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let status = chat.wait_for(Duration::from_secs(90)).unwrap();
    let status = status.unwrap_or_else(|| panic!("{who} crashed and the client does not notice"));
    let mut said = String::new();
    chat.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "a cut reply passed as whole: {said}");
    said
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_dead_model_is_replaced_by_the_next_and_all_dead_is_said() {
    let mut scene = Scene::start().unwrap();
    let laptop = scene.member("laptop", "alice").unwrap();
    laptop.seat.ok(SHORT).unwrap();

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // The supervisor starts an engine again; this keeps it down.
        let keep_down = |engine: &'static str| {
            let (stop, scene) = (&stop, &scene);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let _ = scene.crash("maru-llm", engine);
                    thread::sleep(Duration::from_millis(20));
                }
            })
        };
        keep_down("run/maru/inference/");
        thread::sleep(Duration::from_millis(500));
        let said = laptop.seat.ok(SHORT);
        keep_down("run/maru/inference-2/");
        thread::sleep(Duration::from_millis(500));
        let out = laptop.seat.run(SHORT);
        stop.store(true, Ordering::SeqCst);

        assert!(!said.expect("the fallback answers").trim().is_empty());
        let out = out.unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(text.contains("model") && text.contains("maru"), "says what to do: {text}");
    });
    answers_again(&laptop.seat);
}

#[test]
#[ignore = "needs: root, podman, model"]
fn whoever_restarts_no_cut_reply_passes_as_whole_and_the_next_message_is_answered() {
    let mut scene = Scene::start().unwrap();
    let mut laptop = scene.member("laptop", "alice").unwrap();
    for (name, text) in [
        ("maru-llm", "run/maru/inference/"),
        ("maru-gateway", ""),
        ("maru-telmeet", ""),
        ("maru-agent", ""),
    ] {
        let chat = laptop.seat.long_chat().unwrap();
        scene.crash(name, text).unwrap();
        let said = broken(name, chat);
        assert!(said.contains("cut"), "{name} crashed; the client says: {said}");
        answers_again(&laptop.seat);
    }

    let mut chat = laptop.seat.long_chat().unwrap();
    laptop.agent.signal_kill();
    laptop.agent.wait_for(Duration::from_secs(5)).unwrap();
    laptop.agent = laptop.seat.agent().unwrap();
    // The connection outlives its own agent's restart: the reply goes on where it was.
    let mut out = chat.child().stdout.take().unwrap();
    let (sender, more) = mpsc::channel();
    thread::spawn(move || sender.send(out.read_exact(&mut [0; 200]).is_ok()));
    let went_on = more.recv_timeout(Duration::from_secs(60));
    assert_eq!(went_on, Ok(true), "the own agent restarted and the reply did not go on");
    drop(chat);
    answers_again(&laptop.seat);
}

#[test]
#[ignore = "needs: root, podman, model"]
fn the_network_lives_on_without_its_coordinator() {
    let mut scene = Scene::start().unwrap();
    let mut laptop = scene.member("laptop", "alice").unwrap();
    laptop.seat.ok(SHORT).unwrap();
    let devices = |scene: &Scene| {
        let text = scene.home.ok(&["device", "list", "-o", "json"]).unwrap();
        let devices: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys = devices
            .as_array()
            .unwrap()
            .iter()
            .map(|device| (device["name"].to_string(), device["node_key"].to_string()));
        keys.collect::<Vec<_>>()
    };
    let before = devices(&scene);

    // It stays down however often it is started again.
    let program = format!("{BIN}/maru-coordinator");
    scene.home.machine.sh(&format!("mount --bind /bin/false {program}")).unwrap();
    scene.crash("maru-coordinator", "serve").unwrap();

    // WireGuard makes new session keys every two minutes; the next handshake needs no coordinator.
    let age = |seat: &Seat| {
        let status = seat.status().unwrap();
        let peers = status["peers"].as_array().unwrap().clone();
        peers.iter().filter_map(|peer| peer["last_handshake_s"].as_u64()).min()
    };
    let deadline = Instant::now() + Duration::from_secs(200);
    let (mut oldest, mut rekeyed) = (0, false);
    while !rekeyed {
        laptop.seat.ok(SHORT).unwrap();
        let now = age(&laptop.seat).unwrap();
        rekeyed = oldest > 60 && now < oldest;
        oldest = oldest.max(now);
        assert!(Instant::now() < deadline, "no new handshake for {oldest} s");
        thread::sleep(Duration::from_secs(3));
    }

    let _ = laptop.agent.stop(Duration::from_secs(10)).unwrap();
    laptop.agent = laptop.seat.agent().unwrap();
    answers_again(&laptop.seat);
    assert_eq!(laptop.seat.status().unwrap()["coordinator"]["connected"], false);

    scene.home.machine.sh(&format!("umount {program}")).unwrap();
    laptop
        .seat
        .wait_until(&["status", "-o", "json"], Duration::from_secs(120), |text| {
            let status: serde_json::Value = serde_json::from_str(text).ok()?;
            (status["coordinator"]["connected"] == true).then_some(())
        })
        .unwrap();
    assert_eq!(devices(&scene), before, "someone registered again");
}
