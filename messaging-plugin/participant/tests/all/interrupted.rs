//! Replies that do not come to their end by themselves.

use testkit::eventually;

use crate::{home::Home, person::Person};

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_closed_as_cut_when_the_participant_was_killed_and_is_not_run_again() {
    let mut home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "slow").await;
    let (reply, _) = mina.sees("a reply begins", |shown| shown.text == "You said ").await;

    home.kill_participant();
    home.start_participant();
    let (cut, shown) = mina.sees("it is cut", |shown| shown.text.contains("(cut off)")).await;
    assert_eq!((cut, shown.text.as_str()), (reply, "You said … (cut off)"));
    mina.say(&room, "next").await;
    mina.sees("the next one is answered", |shown| shown.text.contains("next")).await;
    let texts: Vec<_> = home.gateway.asked().iter().map(|it| it["text"].clone()).collect();
    assert_eq!(texts, ["slow", "next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_or_a_word_stops_a_reply_and_another_reaction_makes_a_new_one() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "slow one").await;
    let (reply, _) = mina.sees("a reply begins", |shown| shown.text == "You said ").await;
    mina.react(&room, &reply, "⏹").await;
    let (stopped, _) = mina.sees("it is stopped", |shown| shown.text.contains("(stopped)")).await;
    assert_eq!(stopped, reply);
    eventually("the gateway stops", async || home.gateway.closed() == ["slow one"]).await;

    mina.say(&room, "slow two").await;
    mina.sees("a second reply begins", |shown| shown.text == "You said ").await;
    mina.say(&room, "!stop").await;
    eventually("the gateway stops", async || home.gateway.closed().len() == 2).await;

    let question = mina.say(&room, "three").await;
    let is_reply = |shown: &crate::person::Shown| shown.replies_to.as_ref() == Some(&question);
    let (reply, _) =
        mina.sees("a reply", |it| is_reply(it) && it.text.contains("(attempt 0)")).await;
    mina.react(&room, &reply, "🔄\u{fe0f}").await;
    let again = mina.sees("another", |it| is_reply(it) && it.text.contains("(attempt 1)")).await;
    assert_eq!(again.0, reply, "it is in the same message");
    // A second time, and while nothing runs nothing is stopped.
    mina.react(&room, &reply, "🛑").await;
    mina.say(&room, "four").await;
    mina.sees("the next one is answered", |shown| shown.text.contains("four")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_busy_is_said_in_the_room() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "busy").await;
    mina.sees("it is said", |shown| shown.text.starts_with("I cannot answer now")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_again_is_waited_for() {
    let home = Home::start().await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
    let socket = home.root().join(services::PARTICIPANT.socket);
    let away = socket.with_extension("away");
    std::fs::rename(&socket, &away).unwrap();
    mina.say(&room, "second").await;
    eventually("the AI types", async || mina.sees_typing(&room).await).await;
    std::fs::rename(&away, &socket).unwrap();
    mina.sees("an answer", |shown| shown.text.contains("second")).await;
    eventually("the AI types no more", async || !mina.sees_typing(&room).await).await;
    assert_eq!(mina.messages().await.len(), 3, "nothing is said in between");
}
