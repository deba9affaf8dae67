use std::{fs, path::Path};

use chat_vocabulary::Role;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{Retention, sealed::NumberedMessage, tests::database};

const LIMITS: Limits = Limits { person_bytes: 10_000, conversations: 4 };
const ADA: Person = Person::User(1);
const BOB: Person = Person::User(2);

fn message(text: &str) -> Message {
    Message { role: Role::User, text: text.to_owned() }
}

fn turn(text: &str) -> [Message; 2] {
    [message(text), Message { role: Role::Assistant, text: format!("{text}?") }]
}

async fn open(folder: &Path, machine: u8) -> Conversations {
    let database = database(folder).await;
    Conversations::open(&database, None, Key::new(&[machine; 32]), LIMITS).await.unwrap()
}

async fn opened() -> (TempDir, Conversations) {
    let folder = tempfile::tempdir().unwrap();
    let conversations = open(folder.path(), 1).await;
    (folder, conversations)
}

/// The newest messages, opened.
async fn latest(
    conversations: &Conversations,
    person: &Person,
    name: &str,
    max_bytes: usize,
) -> Result<Vec<Message>, Error> {
    conversations.latest(person, name, max_bytes).await?.open()
}

/// What a reader gives, and in how many parts.
async fn read(
    conversations: &Conversations,
    name: &str,
    before: i64,
    limit: i64,
) -> (Vec<NumberedMessage>, usize) {
    let mut reader = conversations.read(&ADA, name, before, limit).await.unwrap();
    let (mut messages, mut parts) = (Vec::new(), 0);
    while let Some(part) = conversations.part(&mut reader).await.unwrap() {
        messages.extend(part.open_numbered().unwrap());
        parts += 1;
    }
    (messages, parts)
}

async fn run(conversations: &Conversations, statement: &'static str) {
    sqlx::query(statement).execute(conversations.store.pool()).await.unwrap();
}

/// Every byte of the database's files.
fn bytes(folder: &Path) -> Vec<u8> {
    fs::read_dir(folder).unwrap().flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart_and_nothing_of_it_is_readable() {
    let (folder, conversations) = opened().await;
    for text in ["heron", "osprey"] {
        conversations.append(&ADA, "kingfisher", &turn(text), 5).await.unwrap();
    }
    conversations.close().await;

    let conversations = open(folder.path(), 1).await;

    let expected = [turn("heron"), turn("osprey")].concat();
    assert_eq!(latest(&conversations, &ADA, "kingfisher", 1000).await.unwrap(), expected);
    let files = bytes(folder.path());
    for word in ["heron", "osprey", "kingfisher"] {
        assert!(!holds(&files, word.as_bytes()), "{word}");
    }
    assert!(holds(&files, b"user:1"), "the files were read");
}

#[tokio::test]
async fn the_newest_messages_come_that_the_bound_holds() {
    let (_folder, conversations) = opened().await;
    for number in 0..40 {
        conversations.append(&ADA, "main", &turn(&format!("{number:03}")), 5).await.unwrap();
    }
    let all = latest(&conversations, &ADA, "main", usize::MAX).await.unwrap();
    assert_eq!(all.len(), 80);
    // An answer takes 75 bytes as it is stored, a question 69.
    let newest = latest(&conversations, &ADA, "main", 36 * 75 + 35 * 69 + 5).await.unwrap();
    assert_eq!(newest, all[9..]);
}

#[tokio::test]
async fn one_person_finds_nothing_of_another() {
    let (_folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn("ada's"), 5).await.unwrap();

    assert_eq!(latest(&conversations, &BOB, "main", 1000).await.unwrap(), []);
    assert_eq!(conversations.list(&BOB).await.unwrap(), []);
    assert!(!conversations.delete(&BOB, "main").await.unwrap());
    assert!(matches!(conversations.rename(&BOB, "main", "mine").await, Err(Error::Missing)));
    conversations.append(&BOB, "main", &turn("bob's"), 5).await.unwrap();
    conversations.forget(&BOB).await.unwrap();

    assert_eq!(latest(&conversations, &ADA, "main", 1000).await.unwrap(), turn("ada's"));
}

#[tokio::test]
async fn a_message_that_was_moved_does_not_open() {
    const IDS: [&str; 2] = [
        "UPDATE messages SET content_sealed = (SELECT content_sealed FROM messages WHERE number = 1) WHERE number = 0",
        "UPDATE messages SET number = number + 2",
    ];
    for moved in IDS {
        let (_folder, conversations) = opened().await;
        conversations.append(&ADA, "main", &turn("one"), 5).await.unwrap();
        run(&conversations, "UPDATE conversations SET next_number = 9").await;
        assert!(latest(&conversations, &ADA, "main", 1000).await.is_ok());
        run(&conversations, moved).await;
        assert!(matches!(latest(&conversations, &ADA, "main", 1000).await, Err(Error::Open(_))));
    }
    let (_folder, conversations) = opened().await;
    for (person, name) in [(&ADA, "a"), (&BOB, "b")] {
        conversations.append(person, name, &turn("one"), 5).await.unwrap();
    }
    // Bob's conversation, with its key and its messages, among ada's.
    run(&conversations, "UPDATE conversations SET person = 'user:1' WHERE person = 'user:2'").await;
    assert!(matches!(conversations.list(&ADA).await, Err(Error::Open(_))));
    // Bob's key in ada's place.
    run(
        &conversations,
        "UPDATE people SET key_sealed = (SELECT key_sealed FROM people WHERE person = 'user:2')",
    )
    .await;
    assert!(matches!(latest(&conversations, &ADA, "a", 1000).await, Err(Error::OtherMachine)));
}

#[tokio::test]
async fn another_machine_needs_the_recovery_code() {
    let (folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn("one"), 5).await.unwrap();
    conversations.append(&BOB, "main", &turn("two"), 5).await.unwrap();
    let former = conversations.make_recovery_code(&ADA).await.unwrap();
    let code = conversations.make_recovery_code(&ADA).await.unwrap();
    let others = conversations.make_recovery_code(&BOB).await.unwrap();
    conversations.close().await;
    let conversations = open(folder.path(), 2).await;

    let adas = async || latest(&conversations, &ADA, "main", 1000).await;
    assert!(matches!(adas().await, Err(Error::OtherMachine)));
    let kept = conversations.append(&ADA, "main", &turn("new"), 6).await;
    assert!(matches!(kept, Err(Error::OtherMachine)), "nothing is lost by what comes after");
    for wrong in [&former, &others] {
        assert!(matches!(conversations.recover(&ADA, wrong).await, Err(Error::WrongCode)));
    }
    let typed = code.to_text().parse().unwrap();
    conversations.recover(&ADA, &typed).await.unwrap();

    assert_eq!(adas().await.unwrap(), turn("one"));
    conversations.append(&ADA, "main", &turn("new"), 6).await.unwrap();
    let bobs = latest(&conversations, &BOB, "main", 1000).await;
    assert!(matches!(bobs, Err(Error::OtherMachine)));
    conversations.forget(&BOB).await.unwrap();
    conversations.append(&BOB, "main", &turn("again"), 6).await.unwrap();
}

#[tokio::test]
async fn who_fills_their_room_loses_nothing_and_takes_nothing_of_others() {
    let (_folder, conversations) = opened().await;
    let long = turn(&"x".repeat(2000));
    conversations.append(&ADA, "main", &long, 5).await.unwrap();
    conversations.append(&ADA, "main", &long, 5).await.unwrap();
    let kept = conversations.append(&ADA, "main", &long, 5).await;
    assert!(matches!(kept, Err(Error::Full)));
    let kept = conversations.append(&ADA, "other", &long, 5).await;
    assert!(matches!(kept, Err(Error::Full)));
    assert_eq!(latest(&conversations, &ADA, "main", usize::MAX).await.unwrap().len(), 4);
    assert_eq!(conversations.list(&ADA).await.unwrap().len(), 1, "none began in vain");

    conversations.append(&BOB, "main", &long, 5).await.unwrap();
    assert!(conversations.delete(&ADA, "main").await.unwrap());
    for name in ["1", "2", "3", "4"] {
        conversations.append(&ADA, name, &turn(name), 5).await.unwrap();
    }
    let kept = conversations.append(&ADA, "5", &turn("5"), 5).await;
    assert!(matches!(kept, Err(Error::Full)));
}

#[tokio::test]
async fn names_change_and_the_last_used_is_listed_first() {
    let (_folder, conversations) = opened().await;
    for (name, now) in [("a", 1), ("b", 2), ("a", 3)] {
        conversations.append(&ADA, name, &turn(name), now).await.unwrap();
    }
    assert!(matches!(conversations.rename(&ADA, "a", "b").await, Err(Error::Taken)));
    conversations.rename(&ADA, "a", "c").await.unwrap();

    let list = conversations.list(&ADA).await.unwrap();
    let listed: Vec<_> =
        list.iter().map(|it| (&*it.name, it.messages, it.created_at, it.used_at)).collect();
    assert_eq!(listed, [("c", 4, 1, 3), ("b", 2, 2, 2)]);
    assert_eq!(latest(&conversations, &ADA, "c", 1000).await.unwrap().len(), 4);
    assert_eq!(latest(&conversations, &ADA, "a", 1000).await.unwrap(), []);
}

#[tokio::test]
async fn no_file_has_the_key_of_a_conversation_that_was_deleted() {
    let (folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn("one"), 5).await.unwrap();
    conversations.append(&ADA, "other", &turn("two"), 5).await.unwrap();
    let keys = "SELECT key_sealed FROM conversations ORDER BY name_digest = $1";
    let rows =
        sqlx::query(keys).bind(Vec::new()).fetch_all(conversations.store.pool()).await.unwrap();
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
    for name in ["main", "other"] {
        assert!(conversations.delete(&ADA, name).await.unwrap());
    }

    let files = bytes(folder.path());
    assert!(holds(&files, b"user:1"), "the files were read");
    for key in keys {
        assert!(!holds(&files, &key[..16]));
    }
}

#[tokio::test]
async fn those_that_were_not_used_for_long_go_and_make_room() {
    let (_folder, conversations) = opened().await;
    let long = turn(&"x".repeat(2000));
    for (name, now) in [("old", 10), ("new", 20)] {
        conversations.append(&ADA, name, &long, now).await.unwrap();
    }
    let retention = Retention { age_ms: Some(10), ..Retention::default() };
    assert_eq!(
        conversations.retain(retention, 5).await.unwrap(),
        0,
        "by a clock that was set back"
    );
    assert_eq!(conversations.retain(retention, 30).await.unwrap(), 1);
    let list = conversations.list(&ADA).await.unwrap();
    assert_eq!(list.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["new"]);
    conversations.append(&ADA, "next", &long, 30).await.unwrap();
}

#[tokio::test]
async fn of_each_person_the_last_used_are_kept() {
    let (_folder, conversations) = opened().await;
    let long = turn(&"x".repeat(1500));
    for (person, names) in [(&ADA, ["a", "b", "c"]), (&BOB, ["d", "e", "f"])] {
        for (name, now) in names.into_iter().zip(1..) {
            conversations.append(person, name, &turn("short"), now).await.unwrap();
        }
    }
    conversations.append(&ADA, "a", &long, 9).await.unwrap();
    let kept = async |person| {
        let list = conversations.list(person).await.unwrap();
        list.into_iter().map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(conversations.retain(Retention::default(), i64::MAX).await.unwrap(), 0);
    let two = Retention { conversations: Some(2), ..Retention::default() };
    assert_eq!(conversations.retain(two, 10).await.unwrap(), 2);
    assert_eq!(
        (kept(&ADA).await, kept(&BOB).await),
        (vec!["a".into(), "c".into()], vec!["f".into(), "e".into()])
    );
    // The last used one stays, however long it is.
    let bytes = Retention { person_bytes: Some(1000), ..Retention::default() };
    assert_eq!(conversations.retain(bytes, 10).await.unwrap(), 1);
    assert_eq!((kept(&ADA).await, kept(&BOB).await.len()), (vec!["a".to_owned()], 2));
    let size = conversations.size().await.unwrap();
    let listed = async |person| {
        conversations.list(person).await.unwrap().iter().map(|it| it.bytes).sum::<i64>()
    };
    assert_eq!(size, (3, listed(&ADA).await + listed(&BOB).await));
}

#[tokio::test]
async fn a_conversation_is_read_in_parts_and_from_any_place() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await;
    let limits = Limits { person_bytes: i64::MAX, conversations: 4 };
    let conversations =
        Conversations::open(&database, None, Key::new(&[1; 32]), limits).await.unwrap();
    let mut expected = Vec::new();
    for (text, time) in ["a", &"b".repeat(40_000), &"c".repeat(100_000), "d"].iter().zip(5..) {
        conversations.append(&ADA, "long", &turn(text), time).await.unwrap();
        expected.extend(turn(text).map(|message| (time, message)));
    }
    let expected: Vec<_> = (0..)
        .zip(expected)
        .map(|(number, (created_at, message))| NumberedMessage { number, created_at, message })
        .collect();

    // "a" and a long one, the other long one, each of the longest, "d".
    assert_eq!(read(&conversations, "long", i64::MAX, i64::MAX).await, (expected.clone(), 5));
    for before in -1..10 {
        for limit in -1..10 {
            let end = usize::try_from(before.clamp(0, 8)).unwrap();
            let start = end.saturating_sub(limit.try_into().unwrap_or_default());
            let (messages, _) = read(&conversations, "long", before, limit).await;
            assert_eq!(messages, expected[start..end], "{limit} before {before}");
        }
    }
    let missing = conversations.read(&BOB, "long", 9, 9).await;
    assert!(matches!(missing, Err(Error::Missing)));
    let missing = conversations.read(&ADA, "short", 9, 9).await;
    assert!(matches!(missing, Err(Error::Missing)));

    let mut reader = conversations.read(&ADA, "long", 9, 9).await.unwrap();
    conversations.part(&mut reader).await.unwrap().unwrap();
    conversations.delete(&ADA, "long").await.unwrap();
    assert!(conversations.part(&mut reader).await.unwrap().is_none());
}

#[tokio::test]
async fn all_conversations_are_read_one_after_the_other() {
    let (_folder, conversations) = opened().await;
    for (name, now) in [("a", 1), ("b", 2)] {
        conversations.append(&ADA, name, &turn(name), now).await.unwrap();
    }
    conversations.append(&BOB, "c", &turn("c"), 3).await.unwrap();
    let mut found = Vec::new();
    for entry in conversations.entries(&ADA).await.unwrap() {
        let mut reader = entry.reader().unwrap();
        let part = conversations.part(&mut reader).await.unwrap().unwrap();
        found.push((entry.summary().unwrap().name, part.open().unwrap()));
        assert!(conversations.part(&mut reader).await.unwrap().is_none());
    }
    assert_eq!(found, ["b", "a"].map(|name| (name.to_owned(), turn(name).to_vec())));
}

#[tokio::test]
async fn a_branch_begins_as_the_other_one_and_stands_alone() {
    let (folder, conversations) = opened().await;
    for (text, now) in [("one", 5), ("two", 6)] {
        conversations.append(&ADA, "main", &turn(text), now).await.unwrap();
    }
    conversations.branch(&ADA, "main", 3, "branch", 7).await.unwrap();
    conversations.append(&ADA, "branch", &turn("other"), 8).await.unwrap();

    let (main, _) = read(&conversations, "main", 9, 9).await;
    let (branch, _) = read(&conversations, "branch", 9, 9).await;
    assert_eq!(branch[..3], main[..3]);
    let rest: Vec<_> = branch[3..].iter().map(|it| (it.number, it.message.clone())).collect();
    assert_eq!(rest, (3..).zip(turn("other")).collect::<Vec<_>>());
    let listed = conversations.list(&ADA).await.unwrap();
    let counts: Vec<_> = listed.iter().map(|it| (&*it.name, it.messages, it.created_at)).collect();
    assert_eq!(counts, [("branch", 5, 7), ("main", 4, 5)]);

    conversations.delete(&ADA, "main").await.unwrap();
    conversations.close().await;
    let conversations = open(folder.path(), 1).await;
    assert_eq!(read(&conversations, "branch", 9, 9).await.0, branch);
    conversations.delete(&ADA, "branch").await.unwrap();
    let row = sqlx::query("SELECT bytes FROM people").fetch_one(conversations.store.pool()).await;
    assert_eq!(row.unwrap().try_get::<i64, _>(0).unwrap(), 0, "what it took is counted");
}

#[tokio::test]
async fn a_branch_that_cannot_be_leaves_nothing() {
    let (_folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn(&"x".repeat(2000)), 5).await.unwrap();
    conversations.append(&ADA, "other", &turn("other"), 5).await.unwrap();
    let branch = async |person, name, before, to| {
        conversations.branch(person, name, before, to, 6).await.map_err(|error| error.to_string())
    };
    let why = |error: Error| Err(error.to_string());
    assert_eq!(branch(&ADA, "main", 3, "new").await, why(Error::Number));
    assert_eq!(branch(&ADA, "main", -1, "new").await, why(Error::Number));
    assert_eq!(branch(&ADA, "main", 1, "other").await, why(Error::Taken));
    assert_eq!(branch(&ADA, "main", 1, "main").await, why(Error::Taken));
    assert_eq!(branch(&ADA, "none", 1, "new").await, why(Error::Missing));
    assert_eq!(branch(&BOB, "main", 1, "mine").await, why(Error::Missing));
    assert_eq!(branch(&ADA, "main", 2, "second").await, Ok(()));
    assert_eq!(branch(&ADA, "main", 2, "third").await, why(Error::Full));
    assert_eq!(branch(&ADA, "main", 0, "empty").await, Ok(()));
    assert_eq!(branch(&ADA, "main", 0, "fifth").await, why(Error::Full));
    let names: Vec<_> = conversations.list(&ADA).await.unwrap();
    let mut names: Vec<_> = names.iter().map(|it| (&*it.name, it.messages)).collect();
    names.sort_unstable();
    assert_eq!(names, [("empty", 0), ("main", 2), ("other", 2), ("second", 2)]);
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(text: String) {
        let message = message(&text);
        prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
    }
}
