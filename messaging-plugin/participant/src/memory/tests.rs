use ruma::room_id;

use super::*;

fn message(number: usize, size: usize) -> Message {
    Message {
        event: format!("$e{number}").try_into().unwrap(),
        sender: "@mina:maru.test".try_into().unwrap(),
        text: "x".repeat(size),
        replies_to: None,
        thread: None,
        mentions_me: false,
        sent_at: 0,
    }
}

fn question(number: usize) -> Question {
    Question { message: message(number, 1), is_called: true, attempt: 0, answer: None }
}

fn note(rooms: &Rooms, room: &RoomId, number: usize, size: usize) {
    rooms.note(room, recent(&message(number, size), "Mina").unwrap());
}

#[test]
fn recent_messages_are_few_and_short() {
    let (rooms, room) = (Rooms::default(), room_id!("!r:maru.test"));
    for number in 0..50 {
        note(&rooms, room, number, 1);
    }
    let before = rooms.before(room, "$e49");
    assert_eq!(before.len(), RECENT - 1);
    assert_eq!(before[0].event_id.as_str(), "$e30");
    for number in 50..60 {
        note(&rooms, room, number, 10_000);
    }
    let all = rooms.before(room, "$none");
    assert_eq!(all.len(), 3);
    note(&rooms, room, 60, RECENT_BYTES * 2);
    assert_eq!(rooms.before(room, "$none").len(), 1);
}

#[test]
fn a_room_answers_one_question_after_another() {
    let (rooms, room) = (Rooms::default(), room_id!("!r:maru.test"));
    assert_eq!(rooms.ask(room, question(0)), QueueOutcome::Starts);
    assert_eq!(rooms.ask(room, question(1)), QueueOutcome::Waits);
    let (first, _) = rooms.next(room).unwrap();
    assert_eq!(first.message.event, "$e0");
    for number in 2..5 {
        assert_eq!(rooms.ask(room, question(number)), QueueOutcome::Waits);
    }
    assert_eq!(rooms.ask(room, question(5)), QueueOutcome::Full);
    for _ in 1..5 {
        assert!(rooms.next(room).is_some());
    }
    assert!(rooms.next(room).is_none());
    assert_eq!(rooms.ask(room, question(6)), QueueOutcome::Starts);
}

#[tokio::test]
async fn the_reply_in_a_message_is_stopped_and_made_again() {
    let (rooms, room) = (Rooms::default(), room_id!("!r:maru.test"));
    rooms.ask(room, question(0));
    let (question, running) = rooms.next(room).unwrap();
    running.set_answer("$answer");
    rooms.stop(room, Some("$other"));
    assert!(!running.is_stopped.load(Ordering::Relaxed));
    rooms.stop(room, Some("$answer"));
    running.stopped().await;

    assert!(rooms.again(room, "$other").is_none());
    let again = || rooms.again(room, "$answer").map(|it| (it.attempt, it.answer));
    let expected = Some((1, Some("$answer".to_owned())));
    assert_eq!(again(), expected, "in progress");
    rooms.replied(room, "$answer".to_owned(), question);
    assert!(rooms.next(room).is_none());
    assert_eq!(again(), expected, "ended");
}

#[test]
fn the_quietest_idle_room_is_forgotten() {
    let rooms = Rooms::default();
    let room = |number: usize| OwnedRoomId::try_from(format!("!r{number}:maru.test")).unwrap();
    assert_eq!(rooms.ask(&room(0), question(0)), QueueOutcome::Starts);
    for number in 1..=ROOMS {
        note(&rooms, &room(number), number, 1);
    }
    assert_eq!(rooms.state().rooms.len(), ROOMS);
    assert!(rooms.next(&room(0)).is_some(), "a busy room stays");
    assert!(rooms.before(&room(1), "$none").is_empty());
}
