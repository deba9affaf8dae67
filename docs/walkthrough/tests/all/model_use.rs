//! Another model, chosen while people chat.
//!
//! Fails if a chat fails or is cut while the engines change, if one of them keeps the former model, or if a model that
//! does not start is left in use. Blind to what the models say: both are the same file.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{Deployment, Instance, STOP};
use model_sample::{Value as Entry, tiny};
use serde_json::{Value, json};
use testkit::blocking::{eventually_within, http};

const HOST: &str = "chat.maru.home.arpa:18789";
const PATIENCE: Duration = Duration::from_secs(120);

/// A streamed chat of so many tokens; an error unless it is whole.
fn chat(instance: &Instance, tokens: u32) -> Result<(), String> {
    let body = json!({
        "stream": true, "max_tokens": tokens, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Hi" }],
    });
    let stream = instance.dial(18789).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = body.to_string();
    let asked = http::request(stream, "POST", "/v1/chat/completions", HOST, &[], Some(&body));
    let mut answer = asked.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        let head = answer.head.clone();
        return Err(format!("{head}: {}", answer.body().unwrap_or_default()));
    }
    loop {
        match answer.line() {
            Ok(Some(line)) if line == "data: [DONE]" => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => return Err("cut".to_owned()),
            Err(error) => return Err(format!("{error:#}")),
        }
    }
}

/// Runs `work` while two people chat without a pause and one of them asks long questions, too; every chat must be whole.
fn while_people_chat<T>(people: [&Instance; 2], work: impl FnOnce() -> T) -> T {
    let (stop, whole, failed) =
        (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let done = thread::scope(|scope| {
        for (instance, tokens) in [(people[0], 4), (people[1], 4), (people[1], 60)] {
            let (stop, whole, failed) = (&stop, &whole, &failed);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    match chat(instance, tokens) {
                        Ok(()) => drop(whole.fetch_add(1, Ordering::SeqCst)),
                        Err(why) => failed.lock().unwrap().push(why),
                    }
                }
            });
        }
        let more = || {
            let before = whole.load(Ordering::SeqCst);
            let is_well = || failed.lock().unwrap().is_empty();
            while whole.load(Ordering::SeqCst) < before + 4 && is_well() {
                thread::sleep(Duration::from_millis(20));
            }
        };
        more();
        let done = work();
        more();
        stop.store(true, Ordering::SeqCst);
        done
    });
    assert_eq!(failed.into_inner().unwrap(), Vec::<String>::new());
    done
}

fn in_use(deployment: &Deployment) -> Vec<String> {
    let listed = deployment.home.ok(&["model", "list", "-o", "json"]).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let used = listed.as_array().unwrap().iter().filter(|model| model["in_use"] == true);
    used.map(|model| model["name"].as_str().unwrap().to_owned()).collect()
}

/// Number of engines that were started with a model.
fn engines(deployment: &Deployment, model: &str) -> usize {
    deployment.processes("maru-llm", model).unwrap().len()
}

#[test]
#[ignore = "needs: root, podman, model"]
fn another_model_is_taken_up_without_a_failed_chat() {
    let mut deployment = Deployment::start().unwrap();
    let alice = deployment.member("laptop", "alice").unwrap();
    let bob = deployment.member("tablet", "bob").unwrap();
    let people = [&alice.instance, &bob.instance];
    let model = std::env::var("MARU_TEST_MODEL").unwrap();
    let lent = Path::new("/run/maru-lab").join(Path::new(&model).file_name().unwrap());
    let lent = lent.display().to_string();
    deployment.home.ok(&["model", "pull", &lent, "--name", "other.gguf"]).unwrap();
    assert_eq!(engines(&deployment, "other.gguf"), 0);

    let said = while_people_chat(people, || deployment.home.ok(&["model", "use", "other.gguf"]));
    assert!(said.unwrap().contains("other.gguf answers now"));
    assert_eq!(engines(&deployment, "other.gguf"), 2);
    assert_eq!(in_use(&deployment), ["other.gguf"]);

    // One whose header says that it cannot be used, and one that only llama.cpp finds out about, which it ends for.
    let without_layers = tiny().with("llama.block_count", Entry::U32(0));
    let negative = tiny().with("llama.attention.layer_norm_rms_epsilon", Entry::F32(-1.0));
    for (name, file, why) in [
        ("short.gguf", without_layers, ["short.gguf cannot be used", "llama.block_count is 0"]),
        ("bad.gguf", negative, ["bad.gguf cannot be used; the engines keep ", "other.gguf"]),
    ] {
        let path = deployment.home.root.join("var/lib/maru/models").join(name);
        fs::write(path, file.bytes()).unwrap();
        let out = while_people_chat(people, || deployment.home.run(&["model", "use", name]));
        let out = out.unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(why.iter().all(|why| said.contains(why)), "{said}");
        assert_eq!(said.contains("llama.cpp failed with"), name == "bad.gguf", "{said}");
    }
    assert_eq!(engines(&deployment, "other.gguf"), 2);
    assert_eq!(in_use(&deployment), ["other.gguf"]);

    // Without a spare, and as it was left.
    assert!(deployment.up.stop(STOP).unwrap().success());
    let (up, _) = deployment.home.up(&["--engines", "1"], |_| {}, || Ok(())).unwrap();
    deployment.up = up;
    assert_eq!((engines(&deployment, "other.gguf"), engines(&deployment, "inference-2")), (1, 0));
    let doctor = deployment.home.run(&["doctor"]).unwrap();
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("inference is ready") && !doctor.contains("inference-2"), "{doctor}");
    deployment.home.ok(&["model", "pull", &lent, "--name", "third.gguf"]).unwrap();
    deployment.home.ok(&["model", "use", "third.gguf"]).unwrap();
    assert_eq!(engines(&deployment, "third.gguf"), 1);
    eventually_within(PATIENCE, "a chat", || chat(&alice.instance, 4));
}
