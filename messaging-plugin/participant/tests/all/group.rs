//! Rooms with several people.

use serde_json::json;

use crate::{
    home::Home,
    person::{AI, Person},
};

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_the_ai_answers_whom_it_is_mentioned_by_and_sees_what_was_said_since_it_joined()
{
    let home = Home::start().await;
    let (mina, jun) = (
        Person::sign_in(&home, 1, "mina", "phone").await,
        Person::sign_in(&home, 2, "jun", "phone").await,
    );
    mina.keys_of_ai().await;
    let request = json!({ "name": "Kitchen", "invite": [jun.user] });
    let room = mina.create(request).await;
    jun.join(&room).await;
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    mina.send(&room, "m.room.message", "1", text("before the AI")).await;
    let invite = json!({ "user_id": AI });
    mina.invite(&room, invite).await;
    mina.sees("the AI says that it reads", |shown| shown.text.contains("home machine")).await;

    jun.send(&room, "m.room.message", "2", text("there are eggs")).await;
    mina.send(&room, "m.room.message", "3", text("Maru, what is for dinner?")).await;
    let (reply, _) = mina.sees("a reply", |shown| shown.text.contains("dinner")).await;
    let asked = home.gateway.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (&asked[0]["mention"], &asked[0]["room"]["name"]),
        (&json!(true), &json!("Kitchen"))
    );
    assert_eq!(asked[0]["room"]["direct"], false);
    let recent: Vec<_> =
        asked[0]["recent"].as_array().unwrap().iter().map(|it| &it["text"]).collect();
    assert_eq!(recent, ["there are eggs"]);
    assert_eq!(asked[0]["recent"][0]["sender"]["name"], "jun");

    let mut answer = text("with rice?");
    answer["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": reply } });
    jun.send(&room, "m.room.message", "4", answer).await;
    mina.sees("a reply to a reply", |shown| shown.text.contains("rice")).await;
    let recent = home.gateway.asked()[1]["recent"].clone();
    assert_eq!((&recent[2]["own"], recent.as_array().unwrap().len()), (&json!(true), 3));
}
