//! Limits: rooms and members do not starve each other.

use std::num::NonZeroU16;

use super::*;
use crate::tests::gateway_without_fallback;

/// A message of Eve's in a room of its own.
fn elsewhere(number: usize) -> Value {
    let mut asked = message(&format!("$m{number}"), "hi");
    asked["room"]["id"] = json!(format!("!r{number}:home"));
    asked["sender"]["id"] = json!("@eve:home");
    asked
}

/// A gateway whose only model makes one reply at a time.
fn narrow_gateway() -> TestGateway {
    gateway_without_fallback(|config| config.line.slots = NonZeroU16::MIN)
}

#[tokio::test]
async fn a_room_has_two_replies_at_a_time_and_a_refused_attempt_is_not_used_up() {
    let gateway = narrow_gateway();
    gateway.one.script(Script::Endless);
    let first = gateway.tell(&message("$1", "hi")).await;
    let asked = message("$2", "hi");
    let mut second = Box::pin(gateway.tell(&asked));
    tokio::select! {
        _ = &mut second => panic!("it has no turn yet"),
        () = gateway.until_waiting(1) => {}
    }
    let refused = gateway.tell(&message("$3", "hi")).await;
    assert_eq!(refused.header("retry-after"), "5");
    refused.problem(429, "rate").await;
    drop((first, second));
    gateway.one.script(Script::Hello);
    testkit::eventually("it is answered", async || {
        gateway.tell(&message("$3", "hi")).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn who_writes_in_many_rooms_has_two_turns_before_a_member_and_no_more() {
    let gateway = narrow_gateway();
    gateway.one.script(Script::Held);
    let messages: Vec<_> = (0..12).map(elsewhere).collect();
    let first = gateway.tell(&messages[0]).await;
    let mut second = Box::pin(gateway.tell(&messages[1]));
    tokio::select! {
        _ = &mut second => panic!("it has no turn yet"),
        () = gateway.until_waiting(1) => {}
    }
    for asked in &messages[2..] {
        gateway.tell(asked).await.problem(429, "rate").await;
    }
    let body = json!({"messages": [{"role": "user", "content": "a member"}]});
    let mut member = Box::pin(gateway.sending(&ada(), "/v1/chat/completions", body));
    tokio::select! {
        _ = &mut member => panic!("no turn yet"),
        _ = &mut second => panic!("no turn yet"),
        () = gateway.until_waiting(2) => {}
    }
    gateway.one.release(3);
    assert!(read(first).await.1.is_some());
    assert!(read(second.await).await.1.is_some());
    assert_eq!(member.await.status, 200);
    let third = gateway.one.requests()[2].to_string();
    assert!(third.contains("a member\""), "{third}");
}
