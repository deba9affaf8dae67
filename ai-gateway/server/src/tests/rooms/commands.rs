//! Commands in rooms.

use super::*;

#[tokio::test]
async fn commands_are_answered_without_a_model() {
    let gateway = gateway();
    assert!(gateway.whole_reply(&message("$1", "/help")).await.contains("/model NAME"));
    let status = gateway.whole_reply(&message("$2", "Maru: /status")).await;
    assert!(status.starts_with("llamacpp/smollm2 answers in this room."), "{status}");
    let korean = gateway.whole_reply(&message("$3", "마루야 /help 는?")).await;
    assert_eq!(korean, "Hello there", "that is a question");
    let mut korean = message("$4", "/help");
    korean["room"]["name"] = json!("부엌");
    assert!(gateway.whole_reply(&korean).await.contains("모델"));
    assert_eq!(gateway.one.requests().len(), 1, "the question alone");
    gateway.tell(&message("$1", "/help")).await.problem(409, "repeated").await;
}

#[tokio::test]
async fn a_room_chooses_its_model_and_no_other_rooms() {
    let gateway = gateway();
    let models = gateway.whole_reply(&message("$1", "/model")).await;
    assert!(models.ends_with("\n- llamacpp/smollm2\n- spare/smollm2"), "{models}");
    let unknown = gateway.whole_reply(&message("$2", "/model gpt-9")).await;
    assert_eq!(unknown, "There is no model of this name. /model shows which there are.");
    let chosen = gateway.whole_reply(&message("$3", "@Maru /model spare/smollm2")).await;
    assert_eq!(chosen, "From now on spare/smollm2 answers in this room.");

    gateway.whole_reply(&message("$4", "hi")).await;
    assert_eq!((gateway.one.requests().len(), gateway.two.requests().len()), (0, 1));
    // A chosen model gets the room's prompt, too.
    assert!(gateway.two.requests()[0].to_string().contains("a member of a room"));
    let mut elsewhere = message("$5", "hi");
    elsewhere["room"]["id"] = json!("!hall:home");
    gateway.whole_reply(&elsewhere).await;
    assert_eq!((gateway.one.requests().len(), gateway.two.requests().len()), (1, 1));

    gateway.whole_reply(&message("$6", "/model default")).await;
    gateway.whole_reply(&message("$7", "hi")).await;
    assert_eq!((gateway.one.requests().len(), gateway.two.requests().len()), (2, 1));
}
