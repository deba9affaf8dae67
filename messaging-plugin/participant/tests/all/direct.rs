//! An encrypted chat of one person with the AI.

use telmeet_api::participant::{FINGERPRINT, Fingerprint};
use testkit::eventually;

use crate::{home::Home, person::Person};

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_tells_that_it_reads_answers_and_keeps_its_identity_over_a_restart() {
    let mut home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    let keys = mina.keys_of_ai().await;
    let device = keys[0].as_object().unwrap().keys().next().unwrap().clone();
    let room = mina.create_direct().await;
    // Before the AI has joined, as apps do.
    let question = mina.say(&room, "canary hello").await;

    let is_told = |shown: &crate::person::Shown| {
        shown.text.contains(&device) && shown.text.contains("home machine")
    };
    mina.sees("the AI says that it reads", is_told).await;
    let (_, reply) = mina.sees("the AI answers", |shown| shown.text.contains("(attempt 0)")).await;
    assert!(reply.text.contains("canary hello"), "{reply:?}");
    assert_eq!(reply.replies_to.as_deref(), Some(&*question));
    let asked = home.gateway.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0]["room"]["direct"], true);
    assert_eq!(asked[0]["sender"]["name"], "mina");
    assert_eq!(asked[0]["event_id"], *question);

    home.kill_participant();
    home.start_participant();
    mina.say(&room, "canary again").await;
    mina.sees("the AI answers after a restart", |shown| shown.text.contains("canary again")).await;
    let texts: Vec<_> = home.gateway.asked().iter().map(|it| it["text"].clone()).collect();
    assert_eq!(texts, ["canary hello", "canary again"], "each message is asked once");
    assert_eq!(mina.messages().await.len(), 3, "it tells once");
    assert_eq!(mina.keys_of_ai().await, keys);
    assert!(!home.is_on_disk("canary") && !home.is_on_disk(room.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs: root"]
async fn root_has_the_ai_accept_the_identity_that_a_person_has_reset() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
    let again = Person::sign_in(&home, 1, "mina", "again").await;
    let path = "/maru/v1/people/%40mina%3Amaru.home.arpa/accept";
    eventually("the identity is accepted", async || {
        let accepted = home.ask_participant("POST", path)?;
        let key = again.device.fingerprint().await.unwrap().unwrap().master_key;
        accepted.contains(&key).then_some(())
    })
    .await;
    again.say(&room, "second").await;
    again.sees("an answer", |shown| shown.text.contains("second")).await;
    assert_eq!(home.ask_participant("POST", &path.replace("mina", "nobody")), None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs: root"]
async fn root_is_told_the_fingerprint_of_the_device() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    let keys = mina.keys_of_ai().await;
    let fingerprint: Fingerprint = eventually("the AI has signed in", async || {
        let answer = home.ask_participant("GET", FINGERPRINT.declaration.path)?;
        serde_json::from_str(&answer).ok()
    })
    .await;
    let Fingerprint { user_id, device_id, device_key, master_key } = fingerprint;
    assert_eq!(user_id, crate::person::AI);
    assert_eq!(keys[0][&device_id]["keys"][format!("ed25519:{device_id}")], *device_key);
    assert_eq!(keys[1][format!("ed25519:{master_key}")], *master_key);
}
