//! Recovery codes: what was sealed on another machine opens for its person alone.

use ai_gateway_api::sealed::{Event, Operation, Recover};
use hpke_envelope::Suite;

use super::{Member, TestGateway, ada, bob, client::chat, gateway, gateway_with};

/// A new recovery code.
async fn make(gateway: &TestGateway, who: &Member) -> String {
    match &gateway.sealed(who, &Operation::RecoveryCode).await[..] {
        [Event::RecoveryCode(code)] => code.clone(),
        other => panic!("{other:?}"),
    }
}

/// The kind and message of the error of a recovery; `None` if it succeeded.
async fn recover(gateway: &TestGateway, who: &Member, code: &str) -> Option<(String, String)> {
    let operation = Operation::Recover(Recover { code: code.to_owned() });
    match &gateway.sealed(who, &operation).await[..] {
        [] => None,
        [Event::Error { kind, message }] => Some((kind.clone(), message.clone())),
        other => panic!("{other:?}"),
    }
}

/// Moves the database to a machine that has another key.
async fn move_to_another_machine(gateway: &mut TestGateway) {
    let key = gateway.root.path().join(&gateway.config.conversations.key_file);
    std::fs::write(key, [9; 32]).unwrap();
    gateway.restart().await;
}

#[tokio::test]
async fn the_newest_code_of_the_person_opens_their_sessions_on_another_machine() {
    let mut gateway = gateway();
    for who in [ada(), bob()] {
        gateway.bind(&who).await;
        gateway.say(&who, "main", "from home").await;
    }
    let former = make(&gateway, &ada()).await;
    let code = make(&gateway, &ada()).await;
    let bobs = make(&gateway, &bob()).await;
    assert_ne!(former, code);

    move_to_another_machine(&mut gateway).await;

    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    let is_told = |event: &Event| matches!(event, Event::Notice { message, .. } if message.contains("maru chat --recover"));
    assert!(events.iter().any(is_told), "{events:?}");
    for wrong in [&former, &bobs] {
        let (kind, message) = recover(&gateway, &ada(), wrong).await.unwrap();
        assert_eq!(kind, "wrong-code", "{message}");
    }
    let (kind, message) = recover(&gateway, &ada(), &code[1..]).await.unwrap();
    assert!(kind == "body" && message.contains("32 letters"), "{message}");

    assert_eq!(recover(&gateway, &ada(), &code.to_lowercase().replace('-', " ")).await, None);

    assert_eq!(gateway.history(&ada(), "main").await, ["from home", "Hello there"]);
    gateway.say(&ada(), "main", "from here").await;
    gateway.restart().await;
    let all = ["from home", "Hello there", "from here", "Hello there"];
    assert_eq!(gateway.history(&ada(), "main").await, all);
    let events = gateway.sealed(&bob(), &chat(Some("main"), "hi")).await;
    let is_told = |event: &Event| matches!(event, Event::Notice { kind, .. } if kind == "not-kept");
    assert!(events.iter().any(is_told), "another person's stay closed: {events:?}");
}

#[tokio::test]
async fn tries_are_limited_as_chats_are() {
    let gateway = gateway_with(|config| {
        config.limits.chats_per_minute = std::num::NonZeroU32::MIN;
        config.limits.burst = std::num::NonZeroU32::MIN.saturating_add(3);
    });
    gateway.bind(&ada()).await;
    let code = "0000-0000-0000-0000-0000-0000-0000-0000";
    let operation = Operation::Recover(Recover { code: code.to_owned() });
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let (request, _) = gateway.seal_text(&ada(), &operation.encode(), Suite::XWing).await;
        statuses.push(gateway.send(&ada(), &request).await.status.as_u16());
    }

    assert_eq!(statuses.first(), Some(&200));
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}
