//! Slash commands in conversations.

use ai_gateway_api::sealed::{Chat, Event, Input, Operation};

use chat_vocabulary::Message;

use super::{
    ada, bob,
    client::{chat, text_of},
    gateway,
};

#[tokio::test]
async fn commands_are_answered_without_a_model_and_are_not_kept() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    for (command, words) in [
        ("/help", "/status"),
        ("/status", "llamacpp/smollm2 answers in this conversation. It is ready."),
        ("/model", "- spare/smollm2"),
        ("/model gpt/4", "There is no model of this name"),
        ("/stop", "closing its connection"),
        ("/export", "maru chat --export"),
        ("/hlep", "Did you mean /help?"),
        ("/frobnicate", "no command /frobnicate"),
    ] {
        let said = gateway.say(&ada(), "main", command).await;
        assert!(said.contains(words), "{command}: {said}");
    }
    assert_eq!(gateway.one.requests().len(), 0);
    assert_eq!(gateway.history(&ada(), "main").await, Vec::<String>::new());

    gateway.say(&ada(), "main", "/etc is full").await;
    assert_eq!(gateway.one.requests().len(), 1, "this is a question");
}

#[tokio::test]
async fn a_new_conversation_leaves_the_former_one() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    assert_eq!(gateway.say(&ada(), "main", "/new").await, "A new conversation.");
    for text in ["first", "second"] {
        gateway.say(&ada(), "main", text).await;
        let said = gateway.say(&ada(), "main", "/reset").await;
        let former = said.split('"').nth(1).expect("its name").to_owned();
        assert!(former.starts_with("main 20"), "{said}");
        assert_eq!(gateway.history(&ada(), "main").await, Vec::<String>::new());
        assert_eq!(gateway.history(&ada(), &former).await, [text, "Hello there"]);
    }
}

#[tokio::test]
async fn the_last_of_an_apps_own_messages_may_be_a_command() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let messages = |last: Message| {
        Operation::Chat(Chat {
            session: None,
            input: Input::Messages(vec![Message::user("/help"), last]),
            model: None,
            language: None,
            options: Default::default(),
        })
    };

    let said = text_of(&gateway.sealed(&ada(), &messages(Message::user("/status"))).await);
    assert!(said.contains("answers in this conversation"), "{said}");
    assert_eq!(gateway.one.requests().len(), 0);
    gateway.sealed(&ada(), &messages(Message::assistant("/status"))).await;
    assert_eq!(gateway.one.requests().len(), 1);
}

#[tokio::test]
async fn a_command_is_answered_in_the_persons_language() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let status = |language: &str| {
        Operation::Chat(Chat {
            session: None,
            input: Input::Text("/status".to_owned()),
            model: None,
            language: Some(language.to_owned()),
            options: Default::default(),
        })
    };

    for (language, words) in [("ko", "모델이 답합니다"), ("en", "answers"), ("", "answers")]
    {
        let said = text_of(&gateway.sealed(&ada(), &status(language)).await);
        assert!(said.contains(words), "{language}: {said}");
    }
}

#[tokio::test]
async fn a_model_is_chosen_for_one_conversation_of_one_person() {
    let gateway = gateway();
    let (ada, bob) = (ada(), bob());
    for member in [&ada, &bob] {
        gateway.bind(member).await;
    }
    let model = async |member, session, text| {
        let events = gateway.sealed(member, &chat(session, text)).await;
        let Some(Event::Model(model)) = events.into_iter().next() else { panic!("no model") };
        model
    };
    let said = gateway.say(&ada, "main", "/model spare/smollm2").await;
    assert!(said.contains("From now on spare/smollm2"), "{said}");

    assert_eq!(model(&ada, Some("main"), "hi").await, "spare/smollm2");
    assert_eq!(model(&ada, Some("other"), "hi").await, "llamacpp/smollm2");
    assert_eq!(model(&bob, Some("main"), "hi").await, "llamacpp/smollm2");
    assert_eq!(model(&ada, None, "hi").await, "llamacpp/smollm2");
    let said = text_of(&gateway.sealed(&ada, &chat(None, "/model spare/smollm2")).await);
    assert!(said.contains("is not kept"), "{said}");

    gateway.say(&ada, "main", "/model default").await;
    assert_eq!(model(&ada, Some("main"), "hi").await, "llamacpp/smollm2");
    gateway.say(&ada, "main", "/model spare/smollm2").await;
    let said = gateway.say(&ada, "main", "/new").await;
    assert_eq!(model(&ada, Some("main"), "hi").await, "llamacpp/smollm2");
    assert!(said.contains("main "), "the former one has another name: {said}");
    gateway.say(&ada, "unused", "/model spare/smollm2").await;
    gateway.say(&ada, "unused", "/new").await;
    assert_eq!(model(&ada, Some("unused"), "hi").await, "llamacpp/smollm2");
}

#[tokio::test]
async fn a_chosen_model_outlives_a_restart() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "/model spare/smollm2").await;

    gateway.restart().await;

    let said = gateway.say(&ada(), "main", "/status").await;
    assert!(said.contains("spare/smollm2"), "{said}");
    gateway.say(&ada(), "main", "hi").await;
    assert!(gateway.one.requests().is_empty(), "the household's AI was asked");
}
