//! What telmeet, or whoever controls it, and members with modified apps could send.

use serde_json::json;
use testkit::eventually;

use crate::{
    home::Home,
    person::{AI, Person},
};

/// What the gateway was asked.
fn asked(home: &Home) -> Vec<String> {
    let texts = home.gateway.asked();
    texts.iter().map(|it| it["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_encrypted_in_an_encrypted_room_is_not_answered() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
    let clear = json!({ "msgtype": "m.text", "body": "in clear" });
    mina.send(&room, "m.room.message", "clear", clear).await;
    mina.say(&room, "last").await;
    mina.sees("an answer", |shown| shown.text.contains("last")).await;
    assert_eq!(asked(&home), ["first", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_identity_was_exchanged_is_not_answered() {
    let home = Home::start().await;
    let (mina, jun) = (
        Person::sign_in(&home, 1, "mina", "phone").await,
        Person::sign_in(&home, 2, "jun", "phone").await,
    );
    mina.keys_of_ai().await;
    let (room, other) = (mina.create_direct().await, jun.create_direct().await);
    mina.say(&room, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
    // A device with an identity of its own takes the place of the one before.
    let exchanged = Person::sign_in(&home, 1, "mina", "another").await;
    exchanged.say(&room, "after").await;
    // Both are in the AI's sync, in this order.
    jun.say(&other, "other").await;
    jun.sees("an answer", |shown| shown.text.contains("other")).await;
    assert_eq!(asked(&home), ["first", "other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_too_much_state_is_left_and_the_others_are_answered() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create(json!({})).await;
    for part in 0..20 {
        let content = json!({ "text": "x".repeat(60_000) });
        mina.set_state(&room, &format!("example.part{part}"), content).await;
    }
    mina.invite(&room, json!({ "user_id": AI })).await;
    eventually("the AI leaves", async || {
        let membership = mina.membership_of_ai(&room).await?;
        (membership == "leave").then_some(())
    })
    .await;
    let other = mina.create_direct().await;
    mina.say(&other, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rooms_that_are_full_the_ai_reads_the_last_message() {
    let mut home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let mut rooms = Vec::new();
    for _ in 0..12 {
        rooms.push(mina.create(json!({ "invite": [AI] })).await);
    }
    for room in &rooms {
        eventually("the AI joins", async || {
            (mina.membership_of_ai(room).await? == "join").then_some(())
        })
        .await;
    }
    home.kill_participant();
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    // 23 MB. A sync shows the messages of two rooms, and the last ones of the others.
    for room in &rooms {
        for number in 0..30 {
            let long = text(&"Maru ".repeat(12_600));
            mina.send(room, "m.room.message", &number.to_string(), long).await;
        }
        mina.send(room, "m.room.message", "last", text("good night")).await;
    }
    home.start_participant();
    eventually("the last messages are answered", async || {
        let count = asked(&home).iter().filter(|text| *text == "good night").count();
        (count >= 9).then_some(())
    })
    .await;
    let jun = Person::sign_in(&home, 2, "jun", "phone").await;
    let other = jun.create_direct().await;
    jun.say(&other, "we need sugar").await;
    jun.sees("an answer", |shown| shown.text.contains("sugar")).await;
}
