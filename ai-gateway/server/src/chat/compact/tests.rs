use conversations::Message as Stored;

use super::*;

/// Questions and replies in turn, of so many bytes each, from this number on.
fn context(numbers: std::ops::Range<i64>, bytes: usize) -> Context {
    let message = |number| {
        let role = if number % 2 == 0 { Role::User } else { Role::Assistant };
        let message = Stored { role, text: format!("{number:0>bytes$}") };
        NumberedMessage { number, created_at: 1, message }
    };
    let messages = numbers.map(message).collect();
    Context { id: Some(1), summary: None, messages, has_older: false }
}

fn fit_all(context: Context, room: usize) -> Result<Vec<Message>, Box<Compaction>> {
    fit(context, Message::user("now"), room)
}

#[test]
fn what_fits_is_kept_whole() {
    // Ten messages of 100 bytes are 580 tokens by this count.
    let messages = fit_all(context(0..10, 100), 580).map_err(|_| "too long").unwrap();
    assert_eq!(messages.len(), 11);
    assert_eq!(messages.last(), Some(&Message::user("now")));
    assert!(fit_all(context(0..10, 100), 579).is_err());
    let incomplete = Context { has_older: true, ..context(0..10, 100) };
    assert!(fit_all(incomplete, 10_000).is_err(), "older ones were not read");
}

#[test]
fn what_is_left_takes_half_of_the_room_and_begins_with_a_question() {
    for room in [60, 100, 300, 500, 579] {
        let compaction = fit_all(context(0..10, 100), room).err().unwrap();
        let kept = &compaction.context.messages[compaction.left_out..];
        assert!(kept.iter().map(size).sum::<usize>() <= room / 2, "{room}");
        assert!(kept.first().is_none_or(|first| first.message.role == Role::User), "{room}");
    }
}

/// As turns come, most prompts begin with all of the one before, whatever the model does.
#[test]
fn the_beginning_changes_seldom() {
    let (room, mut first, mut changes) = (2000, 0, 0);
    let mut before: Vec<Message> = Vec::new();
    for turn in 0..200 {
        let context = context(first..turn * 2, 100);
        let messages = match fit_all(context, room) {
            Ok(messages) => messages,
            Err(compaction) => {
                let Compaction { mut context, left_out, question, .. } = *compaction;
                context.messages.drain(..left_out);
                first = context.messages[0].number;
                messages(context, question)
            }
        };
        // Without the question, which is stored with its reply.
        let kept = before.len().saturating_sub(1);
        changes += usize::from(messages.get(..kept) != before.get(..kept));
        before = messages;
    }
    // 58 tokens a message: half of the room is 17 messages.
    assert!((15..=25).contains(&changes), "{changes} of 200");
}

#[test]
fn the_summary_is_a_part_of_the_first_message() {
    let summary = Some("they counted".to_owned());
    let with = |range| Context { summary: summary.clone(), ..context(range, 3) };
    let messages = fit_all(with(4..6), 1000).map_err(|_| "too long").unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[0], Message::user("[So far in this conversation:\nthey counted]\n\n004"));
    let messages = fit_all(with(0..0), 1000).map_err(|_| "too long").unwrap();
    assert_eq!(messages, [Message::user("[So far in this conversation:\nthey counted]\n\nnow")]);
}

#[test]
fn what_is_summarized_is_bounded() {
    let long = Context { summary: Some("s".repeat(9000)), ..context(0..40, 9000) };
    let text = transcript(&long, 30, 50_000).unwrap();
    assert!(text.len() <= 50_000 && text.len() > 40_000, "{}", text.len());
    assert!(text.starts_with(INSTRUCTIONS) && text.contains("Before: sss"));
    assert_eq!(transcript(&long, 0, 50_000), None, "nothing is left out");
    assert_eq!(transcript(&long, 30, 100), None, "there is no room for it");
    assert_eq!(start("가나다", 4), "가");
}
