//! An engine that loads its model for a request only.
//!
//! Fails if it takes the model's memory before, if the request that it loads it for fails, or if it keeps the model for ever.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use llm_backend::{Backend as _, Error, Health};

use super::{
    request,
    support::{self, Engine},
};

const STANDBY: [&str; 4] = ["--load", "asked", "--cache-seconds", "1"];

async fn until(engine: &Engine, health: Health) {
    while engine.client().health().await.ok() != Some(health) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_standby_loads_its_model_for_a_request_and_drops_it_once_nobody_asks() {
    let mut engine = Engine::of(tempfile::tempdir().unwrap(), &support::model(), &STANDBY);
    until(&engine, Health::Standby).await;
    let client = engine.client();
    let error = client.models().await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "nothing is loaded: {error}");
    assert!(!engine.maps_model());

    // Several at once: all of them are answered.
    let ask =
        async || client.chat(request(4)).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    let (one, two) = tokio::join!(ask(), ask());
    for deltas in [one, two] {
        assert_eq!(deltas.iter().find_map(|delta| delta.usage).unwrap().completion_tokens, 4);
    }
    assert!(engine.maps_model());
    assert_eq!(client.health().await.unwrap(), Health::Standby, "others answer before it");

    while engine.maps_model() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until(&engine, Health::Standby).await;
    let again = client.chat(request(4)).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    assert!(again.iter().any(|delta| delta.usage.is_some()), "and again");
    assert_eq!(engine.terminate().await.code(), Some(0));
}

#[tokio::test]
#[ignore = "needs: model"]
async fn an_engine_with_room_for_two_loads_at_once_and_otherwise_waits() {
    let engine = Engine::start(&["--load", "room", "--ctx", "512"]).await;
    assert!(engine.maps_model());

    // More than this machine has.
    let asked = ["--load", "room", "--slots", "64", "--cache-mib", "99999999"];
    let engine = Engine::of(tempfile::tempdir().unwrap(), &support::model(), &asked);
    until(&engine, Health::Standby).await;
    assert!(!engine.maps_model());
}

#[tokio::test]
async fn a_standby_refuses_a_file_that_is_no_model_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.gguf");
    std::fs::write(&file, "not a model").unwrap();
    let (code, error) = support::fail(&["--load", "asked", "--model", file.to_str().unwrap()]);
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
}
